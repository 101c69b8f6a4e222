"""Call a function ahead of time, in threads, for the items of an iterable."""
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor


def ahead(pool: ThreadPoolExecutor, function: Callable, items: Iterable, most: int) -> Iterator:
    """Yield function(item) in order; at most `most` results are under way or waiting.

    An error of the iterable is raised after the results of all earlier items.
    """
    begun, items, failed = deque(), iter(items), None
    while failed is None:
        try:
            begun.append(pool.submit(function, next(items)))
        except StopIteration:
            break
        except Exception as error:
            failed = error
        while begun and (len(begun) >= most or begun[0].done()):
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()
    if failed is not None:
        raise failed

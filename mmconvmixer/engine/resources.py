"""One line for a run that the system has no memory or file handles for."""
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue
from typing import Any

from torch.utils.data.dataloader import ExceptionWrapper, _MultiProcessingDataLoaderIter

from mmconvmixer._support.resources import exhausted, out_of
from mmconvmixer.errors import MMConvMixerError

_ANY_QUEUE: Any = Queue  # whose type does not declare this private method
_print_error = _ANY_QUEUE._on_queue_feeder_error


@contextmanager
def exhaustion_named() -> Iterator[None]:
    """Turn an error for want of resources into one line that says what to do.

    Raises:
        OutOfResources: the block failed for that reason.
    """
    try:
        yield
    except MMConvMixerError:
        raise
    except Exception as error:
        what = exhausted(error)
        if what is None:
            raise
        _forget_incomplete_loaders(error)
        raise out_of(what, error) from error


def send_exhaustion() -> None:
    """Let this loader process send the error if it has no file handles left to send a batch.

    Python prints a traceback and drops the batch, and the run would wait for it.
    """
    _ANY_QUEUE._on_queue_feeder_error = _send_error


def _send_error(queue: Queue, error: Exception, item: Any) -> None:
    if exhausted(error) is None or not isinstance(item, tuple):
        _print_error(error, item)
    elif not isinstance(item[1], ExceptionWrapper):  # (number of the batch, batch)
        queue.put((item[0], ExceptionWrapper((type(error), error, error.__traceback__),
                                             'in a loader process')))


def _forget_incomplete_loaders(error: BaseException) -> None:
    """Keep iterators that could not be made from failing again when they are taken down."""
    traceback = error.__traceback__
    while traceback is not None:
        own = traceback.tb_frame.f_locals.get('self')
        if isinstance(own, _MultiProcessingDataLoaderIter) and not hasattr(own, '_workers_status'):
            own._shutdown = True
        traceback = traceback.tb_next

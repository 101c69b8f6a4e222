"""Questions that several threads ask at the same time go into one batch."""
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mmconvmixer._support.micro_batcher import MicroBatcher


class Doubling:
    """Doubles numbers; its first batch waits until `go` is set."""

    def __init__(self):
        self.batches, self.begun, self.go = [], threading.Event(), threading.Event()

    def __call__(self, numbers: list[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.begun.set()
        assert self.go.wait(10)
        if 13 in numbers:
            raise ValueError('thirteen')
        return [2 * number for number in numbers]


def ask_while_busy(batcher, run, numbers, pool):
    """Ask 0, and the other numbers while it runs; return the futures of the others."""
    first = pool.submit(batcher.ask, 0)
    assert run.begun.wait(10)
    others = [pool.submit(batcher.ask, number) for number in numbers]
    while len(batcher._waiting) < len(numbers):
        threading.Event().wait(0.001)
    run.go.set()
    assert first.result(10) == 0
    return others


def test_waiting_questions_go_into_the_next_batch():
    run = Doubling()
    batcher = MicroBatcher(run, most=16)
    with ThreadPoolExecutor(8) as pool:
        others = ask_while_busy(batcher, run, [1, 2, 3, 4], pool)
        assert [each.result(10) for each in others] == [2, 4, 6, 8]
    assert [sorted(batch) for batch in run.batches] == [[0], [1, 2, 3, 4]]


def test_no_batch_is_larger_than_allowed():
    run = Doubling()
    batcher = MicroBatcher(run, most=2)
    with ThreadPoolExecutor(8) as pool:
        others = ask_while_busy(batcher, run, [1, 2, 3, 4, 5], pool)
        assert [each.result(10) for each in others] == [2, 4, 6, 8, 10]
    assert [len(batch) for batch in run.batches] == [1, 2, 2, 1]


def test_an_error_reaches_only_the_thread_that_caused_it():
    run = Doubling()
    batcher = MicroBatcher(run, most=16)
    with ThreadPoolExecutor(8) as pool:
        one, thirteen, two = ask_while_busy(batcher, run, [1, 13, 2], pool)
        assert (one.result(10), two.result(10)) == (2, 4)
        with pytest.raises(ValueError, match='thirteen'):
            thirteen.result(10)
    assert batcher.ask(5) == 10
    assert batcher.ask_all([6, 7]) == [12, 14]


def test_an_interrupt_stays_in_its_thread():
    run = Doubling()
    interrupted = []

    def interrupt_once(numbers):
        answers = run(numbers)
        if len(numbers) > 1 and not interrupted:
            interrupted.append(threading.get_ident())
            raise KeyboardInterrupt
        return answers

    batcher = MicroBatcher(interrupt_once, most=16)
    with ThreadPoolExecutor(8) as pool:
        others = ask_while_busy(batcher, run, [1, 2, 3], pool)
        ends = [each.exception(10) or each.result(10) for each in others]
    assert [type(end) for end in ends].count(KeyboardInterrupt) == 1
    assert sorted(end for end in ends if isinstance(end, int)) == sorted(
        2 * number for number, end in zip([1, 2, 3], ends, strict=True) if isinstance(end, int))


def test_too_few_answers_are_an_error_instead_of_a_deadlock():
    with pytest.raises(ValueError, match='shorter'):
        MicroBatcher(lambda numbers: [], most=4).ask(1)

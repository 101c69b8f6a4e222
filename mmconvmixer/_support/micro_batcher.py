"""Combine the requests that several threads make at the same time into batches."""
import threading
from collections.abc import Callable
from typing import Any


class MicroBatcher:
    """Runs one batch at a time; requests that arrive meanwhile form the next batch.

    It has no thread of its own: the first waiting thread runs the batch for all others.

    Args:
        run: returns the answers to a list of questions, in the same order.
        most: the largest number of questions in a batch.
    """

    def __init__(self, run: Callable[[list], list], most: int) -> None:
        self._run, self._most = run, most
        self._turn, self._access = threading.Lock(), threading.Lock()
        self._waiting: list[_Asked] = []

    def ask(self, question: Any) -> Any:
        """Return the answer to one question, or raise the error that this question causes alone."""
        own = _Asked(question)
        with self._access:
            self._waiting.append(own)
        with self._turn:
            if not own.answered:  # otherwise it was in the batch of another thread
                self._answer(own)
        return own.answer

    def ask_all(self, questions: list) -> list:
        """Return the answers to a complete batch of questions."""
        with self._turn:
            return self._run(questions)

    def _answer(self, own: '_Asked') -> None:
        with self._access:
            others = [asked for asked in self._waiting if asked is not own][:self._most - 1]
            batch = [own, *others]
            self._waiting = [asked for asked in self._waiting if asked not in batch]
        try:
            answers = self._run([asked.question for asked in batch])
            for asked, answer in zip(batch, answers, strict=True):
                asked.answer, asked.answered = answer, True
        except BaseException as error:
            with self._access:  # the other threads run their own questions again
                self._waiting = [asked for asked in others if not asked.answered] + self._waiting
            if not others or not isinstance(error, Exception):
                raise
            own.answer, = self._run([own.question])


class _Asked:
    """A question and its answer, compared by identity."""

    def __init__(self, question: Any) -> None:
        self.question = question
        self.answered, self.answer = False, None

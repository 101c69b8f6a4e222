"""Batches of what several threads ask for at the same moment."""
import threading
from collections.abc import Callable
from typing import Any


class Together:
    """Runs one batch at a time; whoever waits for his turn meanwhile goes into the next one.

    No thread of its own: the first to get its turn works for all that wait.

    Args:
        run: makes answers of questions, in their order.
        most: questions in a batch.
    """

    def __init__(self, run: Callable[[list], list], most: int):
        self._run, self._most = run, most
        self._turn, self._access = threading.Lock(), threading.Lock()
        self._waiting: list[_Asked] = []

    def ask(self, question: Any) -> Any:
        """Return the answer to one question, or raise what its batch raised."""
        asked = _Asked(question)
        with self._access:
            self._waiting.append(asked)
        with self._turn:
            while not asked.done:  # else another one's batch had it
                with self._access:
                    batch, self._waiting = (self._waiting[:self._most],
                                            self._waiting[self._most:])
                self._answer(batch)
        if asked.error is not None:
            raise asked.error
        return asked.answer

    def ask_all(self, questions: list) -> list:
        """Return the answers to a batch that is made already."""
        with self._turn:
            return self._run(questions)

    def _answer(self, batch: list['_Asked']) -> None:
        try:
            answers = self._run([asked.question for asked in batch])
        except BaseException as error:
            for asked in batch:
                asked.error, asked.done = error, True
            if not isinstance(error, Exception):  # Ctrl-C is this thread's alone to obey
                raise
            return
        for asked, answer in zip(batch, answers, strict=True):
            asked.answer, asked.done = answer, True


class _Asked:
    """A question, and what has become of it."""

    def __init__(self, question: Any):
        self.question = question
        self.done, self.answer, self.error = False, None, None

"""Batches of what several threads ask for at the same moment."""
import threading
from collections.abc import Callable
from typing import Any


class MicroBatcher:
    """Runs one batch at a time; whoever waits for his turn meanwhile goes into the next one.

    No thread of its own: the first to get its turn works for those that wait.

    Args:
        run: makes answers of questions, in their order.
        most: questions in a batch.
    """

    def __init__(self, run: Callable[[list], list], most: int):
        self._run, self._most = run, most
        self._turn, self._access = threading.Lock(), threading.Lock()
        self._waiting: list[_Asked] = []

    def ask(self, question: Any) -> Any:
        """Return the answer to one question, or raise what it raises by itself."""
        own = _Asked(question)
        with self._access:
            self._waiting.append(own)
        with self._turn:
            if not own.answered:  # else another one's batch had it
                self._answer(own)
        return own.answer

    def ask_all(self, questions: list) -> list:
        """Return the answers to a batch that is made already."""
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
            with self._access:  # the others are none the worse: each has its own turn
                self._waiting = [asked for asked in others if not asked.answered] + self._waiting
            if not others or not isinstance(error, Exception):
                raise
            own.answer, = self._run([own.question])


class _Asked:
    """A question, and what has become of it. Each is itself only."""

    def __init__(self, question: Any):
        self.question = question
        self.answered, self.answer = False, None

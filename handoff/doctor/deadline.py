"""A question that may never be answered, and how long to wait for it.

A name server, a frozen broker or a Java that hangs would keep a plain call for longer than anybody wants to wait. So each question
gets a thread that the process does not wait for at its end.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Asked(Generic[T]):
    """A question on its way; ``answer`` waits for it."""

    def __init__(self, question: Callable[[], T]) -> None:
        self._question = question
        self._answers: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def answer(self, seconds: float) -> T:
        """What came back, or was raised. Raises ``TimeoutError`` where nothing came in time."""
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error
        if not self._answers:
            raise TimeoutError(f"no answer within {seconds:g} s")
        return self._answers[0]

    def _run(self) -> None:
        try:
            self._answers.append(self._question())
        except BaseException as error:  # raised where the answer is awaited
            self._error = error

"""How the engine uses threads: for branches at once, and for work that has a timeout."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as NotYet
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class Threads:
    """
    Plain threads. A subclass says where they may not be used and cleans up after each.

    ``branches`` is how many branches run at once; 0 or 1 runs them in turn in the same thread.
    """

    def __init__(self, branches: int = 8) -> None:
        self.branches = branches

    def allowed(self) -> bool:
        """Say whether another thread would see what this one sees."""
        return True

    def clean_up(self) -> None:
        """Give back what this thread holds, such as database connections."""

    def together(self, tasks: Iterable[Callable[[], object]], enough: Callable[[], bool]) -> None:
        """Run ``tasks`` until ``enough()``; pass on what one raises once all have come to rest."""
        waiting = list(tasks)
        if self.branches < 2 or len(waiting) < 2 or not self.allowed():  # noqa: PLR2004
            for task in waiting:
                if enough():
                    return
                task()
            return
        with ThreadPoolExecutor(min(self.branches, len(waiting)), "workflow-branch") as pool:
            futures = [pool.submit(self._wrapped(task)) for task in waiting]
            wait(futures)
        for future in futures:
            future.result()

    def within(self, work: Callable[[], T], seconds: float) -> T:
        """
        Return what ``work`` returns, or raise TimeoutError after ``seconds``.

        The work is never interrupted, so no commit of its own can be cut in two; what it does
        after its time is up goes unheard.
        """
        outcome: Future[T] = Future()
        wrapped = self._wrapped(work)

        def body() -> None:
            try:
                outcome.set_result(wrapped())
            except BaseException as error:  # noqa: BLE001  it is passed on, whatever it is
                outcome.set_exception(error)

        Thread(target=body, name="workflow-step", daemon=True).start()
        try:
            return outcome.result(seconds)
        except NotYet as error:
            if outcome.done() and outcome.exception() is error:
                raise  # the work's own TimeoutError
            raise OutOfTime from None

    def _wrapped(self, work: Callable[[], T]) -> Callable[[], T]:
        context = contextvars.copy_context()

        def wrapped() -> T:
            try:
                return context.run(work)
            finally:
                self.clean_up()

        return wrapped


class OutOfTime(TimeoutError):
    """The work of Threads.within() took too long."""

"""An adapter with all that the contract's tests need to know of its surroundings."""

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass

#: Seconds after which a worker that has not done something is not going to.
LONG = 15.0


@dataclass(frozen=True)
class Job:
    """A job as it waits in a queue."""

    arguments: list  # read from its JSON
    raw: bytes  # all of it


class Station(ABC):
    """The adapter under test, its broker and its workers; each test gets one with empty queues."""

    #: ``WORKFLOWS["ADAPTER"]``.
    adapter: dict
    #: The queue of executions that name none, and another.
    queue: str
    other_queue: str

    @abstractmethod
    def heard(self) -> list[str]:
        """Return the id of each execution rung for, as often as the bell has rung."""

    @abstractmethod
    def worker(self, queue: str) -> AbstractContextManager:
        """Let a worker of the adapter work on one queue, in a thread, while the block runs."""

    # Where a job is something to be looked at --------------------------------------------------

    def jobs(self) -> list[Job]:
        """Return the jobs that wait."""
        raise NotImplementedError

    def deliver_again(self) -> None:
        """Put each job that waits into its queue once more."""
        raise NotImplementedError

    def lose(self) -> None:
        """Empty the queues, as a broker does that keeps nothing."""
        raise NotImplementedError

    def failure(self, execution) -> str:
        """Return what the queue keeps of the failed job, or nothing."""
        raise NotImplementedError

    # Where there is a broker that may be down --------------------------------------------------

    def unplug(self) -> None:
        """Let the broker be gone; later jobs find no one."""
        raise NotImplementedError


def until(answers, seconds=LONG):
    """Wait until ``answers()`` is true, and return that. Raise AssertionError if it never is."""
    end = time.monotonic() + seconds
    while not (answer := answers()):
        assert time.monotonic() < end, f"nothing within {seconds:g} s"
        time.sleep(0.02)
    return answer

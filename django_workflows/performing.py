"""What a worker does with one execution, and what where the store goes away meanwhile."""

from __future__ import annotations

import logging
from collections import deque
from threading import Lock
from time import monotonic

from django_workflows import wiring
from django_workflows.core.decisions import surrender
from django_workflows.core.execution import Execution, ExecutionResult, ExecutionStatus
from django_workflows.core.workflow import registry
from django_workflows.exceptions import ExecutionNotFound, NotResumable, StoreUnavailable
from django_workflows.runners.threads import fresh_connections

logger = logging.getLogger("django_workflows")

#: Seconds for which the job of a queue waits for a store that is away, before it is given up.
PATIENCE = 30.0

#: Seconds between two tries: at first, and at most.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


def perform(execution_id: str) -> None:
    """
    Do the job of a queue: drive an execution, unless somebody else does or it is gone.

    Raise ExecutionFailed where it failed, so that the queue's job has failed as well, and
    UnknownWorkflow. A store that does not answer is waited for: this worker could only lose the
    next job as well. Where it stays away, a supervisor finds what is pending.
    """
    pause, until = SHORTEST_PAUSE, monotonic() + PATIENCE
    while monotonic() < until:
        try:
            result = _perform(execution_id)
        except ExecutionNotFound:
            return
        except StoreUnavailable as error:
            lost.note(error)
            if wiring.stopping.wait(pause):
                return
            pause = min(2 * pause, LONGEST_PAUSE)
            continue
        if result is not None and result.status == ExecutionStatus.FAILED:
            result.raise_for_status()
        return


def _perform(execution_id: str) -> ExecutionResult | None:
    fresh_connections()
    lost.give_back()
    with under_way:
        result = wiring.drive(execution_id)
    lost.is_back()
    return result


def perform_claimed(execution: Execution) -> None:
    """Drive what was claimed for this process; what goes wrong is logged, nothing is raised."""
    fresh_connections()
    try:
        with under_way:
            wiring.engine(registry[execution.workflow_id]).drive_claimed(execution)
        lost.is_back()
    except StoreUnavailable as error:
        lost.note(error)
    except BaseException:  # SystemExit would be lost in this thread, and say nothing of which
        logger.exception(
            "Execution %s of %s could not be driven",
            execution.id,
            execution.workflow_id,
            extra={"execution_id": execution.id, "workflow_id": execution.workflow_id},
        )


class Tally:
    """Counts how many executions this process drives, each inside a block."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._count += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._count -= 1

    def count(self) -> int:
        """Return how many there are now."""
        return self._count


under_way = Tally()


class Lost:
    """What this process drove when the store went away."""

    def __init__(self) -> None:
        self._driven: deque[tuple[str, int]] = deque(maxlen=10_000)  # ids and fences
        self._is_away = False
        self._lock = Lock()

    def note(self, error: StoreUnavailable) -> None:
        """Remember what was driven; log that the store is away, once until it is back."""
        with self._lock:
            is_news, self._is_away = not self._is_away, True
            if error.driven is not None:
                self._driven.append(error.driven)
        if is_news:
            logger.warning("A drive was cut short: %s", error)

    def give_back(self) -> None:
        """
        Give back the leases of what was driven, for others not to wait until they end.

        Raise StoreUnavailable where the store does not answer yet.
        """
        while (driven := self._next()) is not None:
            execution_id, fence = driven
            try:
                wiring.dispatch(wiring.store().transition(execution_id, surrender(fence)))
            except (NotResumable, ExecutionNotFound):
                continue  # others have it already
            except StoreUnavailable:
                self._driven.appendleft(driven)
                raise

    def is_back(self) -> None:
        """Note that the store has answered: the next time that it goes away is news."""
        self._is_away = False

    def _next(self) -> tuple[str, int] | None:
        try:
            return self._driven.popleft()
        except IndexError:  # none is left, or another thread gives it back
            return None


lost = Lost()

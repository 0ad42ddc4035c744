"""RQ's worker, run inside a process that is not its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from threading import Event, Lock
from time import monotonic
from typing import Any

from django_rq.workers import get_exception_handlers
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue, SimpleWorker
from rq.exceptions import DequeueTimeout
from rq.executions import Execution as Run
from rq.job import Job
from rq.suspension import is_suspended
from rq.timeouts import TimerDeathPenalty
from rq.worker import WorkerStatus

from django_workflows.core.engine.heartbeat import Beat, heartbeat
from django_workflows.runners.jobs import PERFORM
from django_workflows.runners.rq.queues import hasten, queues_of

logger = logging.getLogger("django_workflows")

#: Seconds that a worker waits for a job before it looks whether it is to stop.
HEED = 1

#: Seconds for which a sign of life counts. RQ adds a minute to those of a worker that waits.
ALIVE = 90

#: Seconds between two signs of life while a job runs; a worker that waits gives more.
BEAT = 30


class Worker(SimpleWorker):
    """
    Heeds a flag instead of signals, and is seen to live during long jobs.

    RQ's own work() ends where Redis is away at the wrong moment, and minds signals, commands and
    schedules, which are the business of the process around it.
    """

    #: The alarm of a process belongs to its main thread.
    death_penalty_class = TimerDeathPenalty

    _run: Run

    @property
    def connection_timeout(self) -> int:
        """Return how many seconds Redis may take to answer, waiting for a job included."""
        return HEED + 4

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Return how many seconds a sign of life counts while ``job`` runs."""
        return ALIVE

    def serve(self, stopping: Event, began: Callable[[], object]) -> None:
        """Do jobs until ``stopping``; call ``began`` once Redis answers. Raise RedisError."""
        self.register_birth()  # type: ignore[no-untyped-call]
        self.set_state(WorkerStatus.IDLE)
        began()
        asked = -inf
        while not stopping.is_set():
            if monotonic() - asked >= HEED:
                if is_suspended(self.connection, self):  # asking is a sign of life, too
                    stopping.wait(HEED)
                    continue
                asked = monotonic()
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()  # type: ignore[no-untyped-call]
            self._do_next()
        self.register_death()  # type: ignore[no-untyped-call]

    def _do_next(self) -> None:
        """Do one job, if there is one within HEED seconds."""
        try:
            found = self.queue_class.dequeue_any(
                self.queues,
                HEED,
                connection=self.connection,
                job_class=self.job_class,
                serializer=self.serializer,
                death_penalty_class=self.death_penalty_class,
            )
        except DequeueTimeout:
            return
        assert found is not None  # noqa: S101  None is for callers that do not wait
        job, queue = found
        if _is_ours(job):
            self._drive(job, queue)
        else:
            self.execute_job(job, queue)

    def _drive(self, job: Job, queue: Queue) -> None:
        """
        Do a job of ours, of which RQ keeps no books: the store has them, and they take longer.

        Taken out of Redis, it is the store's alone; where it fails, RQ shows it among its failed.
        """
        with self.connection.pipeline(transaction=False) as pipeline:
            pipeline.lrem(queue.intermediate_queue_key, 1, job.id)
            pipeline.delete(job.key)
            pipeline.execute()
        long = LongJob()
        beat = Beat(renew=partial(self._be_busy, long), every=BEAT, clean_up=lambda: None)
        try:
            with heartbeat.keep(beat):
                job.perform()
        except BaseException as error:  # noqa: BLE001  as RQ does
            self._fail(job, queue, error)
        with long.lock:
            long.is_over = True
            if long.is_told:
                self.set_state(WorkerStatus.IDLE)

    def _be_busy(self, long: LongJob) -> None:
        """Give a sign of life during a long job."""
        # Where Redis is away, that is noticed when the job is done.
        with long.lock, suppress(RedisError), self.connection.pipeline() as pipeline:
            if long.is_over:
                return
            long.is_told = True
            self.set_state(WorkerStatus.BUSY, pipeline=pipeline)
            self.heartbeat(ALIVE, pipeline=pipeline)
            pipeline.execute()

    def _fail(self, job: Job, queue: Queue, error: BaseException) -> None:
        """Have RQ keep a job that failed with ``error`` as it keeps others that fail."""

        def perform() -> None:
            raise error

        job.perform = perform  # type: ignore[method-assign]
        job.save()
        self.execute_job(job, queue)

    def prepare_execution(self, job: Job) -> Run:
        """Write that ``job`` is begun. What RQ calls an execution is one run of a job."""
        self._run = super().prepare_execution(job)
        return self._run

    def perform_job(self, job: Job, *arguments: Any) -> bool:
        """Do a job that is begun; RQ 3 passes more ``arguments`` than RQ 2."""
        beat = Beat(renew=lambda: self.beat(job), every=BEAT, clean_up=lambda: None)
        with heartbeat.keep(beat):
            return super().perform_job(job, *arguments)

    def beat(self, job: Job) -> None:
        """Give a sign of life, lest another worker take ``job`` for abandoned."""
        # Where Redis is away, that is noticed when the job is done.
        with suppress(RedisError), self.connection.pipeline() as pipeline:
            self.heartbeat(ALIVE, pipeline=pipeline)
            self._run.heartbeat(job.started_job_registry, ALIVE, pipeline=pipeline)
            pipeline.execute()


def _is_ours(job: Job) -> bool:
    try:
        return job.func_name == PERFORM
    except Exception:  # noqa: BLE001  it cannot be read, which RQ tells of when it does it
        return False


@dataclass(slots=True, eq=False)
class LongJob:
    """Whether a job has been told of that takes long; the heartbeat may come as it ends."""

    lock: Lock = field(default_factory=Lock)
    is_told: bool = False
    is_over: bool = False


class Outage:
    """Says once that Redis went away, however many threads notice, and once that it is back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._told: type[BaseException] | None = None

    def began(self, error: BaseException) -> None:
        """Say that it went away; where the trouble is another, with its traceback."""
        kind = RedisError if isinstance(error, RedisError) else type(error)
        with self._lock:
            if self._told is not kind:
                trace = None if kind is RedisError else error
                logger.warning("This worker cannot reach its queue: %s", error, exc_info=trace)
            self._told = kind

    def ended(self) -> None:
        """Say that it is back."""
        with self._lock:
            if self._told is not None:
                logger.warning("This worker has its queue back")
            self._told = None


def new_worker(names: Sequence[str]) -> Worker:
    """Return a worker for queues on one Redis. Raise RedisError."""
    queues = queues_of(names)
    first = queues[0]
    # A Redis that blinks is no outage; but who is to stop must not wait long for one that is away.
    hasten(first, Retry(ExponentialBackoff(cap=0.2, base=0.05), 3))
    return Worker(
        queues,
        connection=first.connection,
        exception_handlers=get_exception_handlers() or None,
        job_class=first.job_class,
        queue_class=type(first),
        serializer=first.serializer,
        worker_ttl=ALIVE,
    )

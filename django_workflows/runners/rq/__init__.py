"""RqAdapter: a job in Redis for each execution, by RQ and django-rq."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from django.db import connections

from django_workflows.core.presence import Presence
from django_workflows.core.store import Pending
from django_workflows.exceptions import ConfigurationError
from django_workflows.runners.base import Adapter, Hands, Ringable
from django_workflows.runners.jobs import PERFORM

try:
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry
    from rq import Queue
    from rq import Worker as AnyWorker

    from django_workflows.runners.rq.queues import declared, hasten, problem, queues_of
    from django_workflows.runners.rq.worker import Outage, new_worker
except ImportError as error:  # pragma: no cover  the tests have it
    raise ConfigurationError(
        'RqAdapter needs RQ and django-rq: pip install "django-durable-workflows[rq]"'
    ) from error

logger = logging.getLogger("django_workflows")

#: Seconds for which a failed job can be looked at: a week.
FAILURE_TTL = 7 * 24 * 3600

#: Seconds that whoever starts an execution waits for Redis to answer, at most.
PATIENCE = 1.0

#: Ids at the end of a queue among which a job is looked for before it is added. What waits
#: further ahead may be added twice, and finds nothing to do the second time.
DEEPEST = 10_000

#: Milliseconds in which one supervisor adds a job that several of them miss at the same moment.
ONCE_IN = 1_000

#: Seconds between two tries to reach a Redis that is away.
RECONNECT = 1.0


class RqAdapter(Adapter):
    """
    Put a job on a queue of ``settings.RQ_QUEUES``, in a Redis of 6.2 or later.

    Executions that name no queue are on ``queue``. The queue has to use RQ's JSON serializer:
    ``"SERIALIZER": "rq.serializers.JSONSerializer"``; one that pickles is refused. A job is never
    timed out by RQ, whose alarm could go off in the middle of a commit; steps have a ``timeout``.
    """

    def __init__(self, drive: Callable[[str], object], *, queue: str = "default") -> None:
        super().__init__(drive, queue=queue)
        self._queues: dict[str, Queue] = {}
        self._outage = Outage()

    @property
    def drives_here(self) -> bool:
        """See Adapter.drives_here: so it does where a project's tests set ASYNC to False."""
        return not declared().get(self.queue, {}).get("ASYNC", True)

    @property
    def worker_command(self) -> str:
        """See Adapter.worker_command. Without the option, ``rqworker`` would unpickle."""
        return (
            "`manage.py workflows worker`, or `manage.py rqworker"
            f" --serializer rq.serializers.JSONSerializer {self.queue}`"
        )

    def problems(self) -> Iterator[str]:
        """See Adapter.problems()."""
        found = problem(self.queue)
        if found is not None:
            yield found

    def outages(self) -> Iterator[tuple[str, str]]:
        """See Adapter.outages(): the Redis of each queue that executions can be on."""
        for name in self._usable():
            try:
                self._queue(name).connection.ping()
            except RedisError as error:
                yield (
                    f"The Redis of the queue {name!r} does not answer: {error}",
                    f"Start it, or correct RQ_QUEUES[{name!r}]. Until then no worker is rung for.",
                )

    def dispatch(self, execution: Ringable) -> None:
        """See Adapter.dispatch(). Raise ConfigurationError where the queue pickles or is none."""
        queue = self._queue(self.queue_of(execution))
        job = queue.create_job(
            PERFORM,
            args=[execution.id],
            job_id=_job_id(execution),
            timeout=-1,
            result_ttl=0,
            failure_ttl=FAILURE_TTL,
            description=f"{execution.workflow_id} {execution.id}",
        )
        with queue.connection.pipeline(transaction=False) as pipeline:
            pipeline.exists(job.key)
            pipeline.lpos(queue.key, job.id, rank=-1, maxlen=DEEPEST)
            queue.failed_job_registry.remove(job, pipeline=pipeline)
            is_there, place, _ = pipeline.execute()
        if place is None:
            queue.enqueue_job(job, at_front=execution.priority > 0)
        elif not is_there:
            job.save()  # Redis has evicted it, but its place in the queue is kept

    def unheard(self, pending: Iterable[Pending]) -> Iterator[Pending]:
        """See Adapter.unheard(): those whose job waits in no queue, each to one who asks."""
        waiting: dict[str, Collection[str]] = {}
        for execution in pending:
            name = self.queue_of(execution)
            if name not in waiting:
                waiting[name] = self._waiting(name)
            if _job_id(execution) not in waiting[name] and self._is_first(name, execution):
                yield execution

    def listeners(self, present: Iterable[Presence]) -> Collection[str] | None:
        """See Adapter.listeners(); RQ's own workers are among them."""
        # RQ registers a worker once: of ours that outlived a FLUSHALL, Redis knows nothing.
        ours = {name for one in present if one.drives for name in one.queues or (self.queue,)}
        names = self._usable()
        try:
            return ours | {name for name in names if AnyWorker.all(queue=self._queue(name))}
        except RedisError:
            return ours or None

    def work(self, hands: Hands) -> None:
        """
        See Adapter.work(). An RQ worker for each thread; none forks, or takes commands by Redis.

        ``hands.queues`` are queues on one Redis; where there are none, it is the adapter's own.
        """
        names = list(hands.queues or [self.queue])
        queues_of(names)
        with ThreadPoolExecutor(hands.threads, "workflow-rq-worker") as pool:
            for _ in range(hands.threads):
                pool.submit(self._serve, names, hands.stopping)

    def _serve(self, names: Sequence[str], stopping: Event) -> None:
        """Let RQ workers work, one after another where Redis goes away in between."""
        try:
            while not stopping.is_set():
                try:
                    new_worker(names).serve(stopping, self._outage.ended)
                except BaseException as error:  # noqa: BLE001  nothing may end it but its user
                    self._outage.began(error)
                    stopping.wait(RECONNECT)
        finally:
            connections.close_all()

    def _usable(self) -> list[str]:
        """Return the queues that an execution can be on."""
        return [name for name in declared() if problem(name) is None]

    def _queue(self, name: str) -> Queue:
        """Return a queue whose Redis answers soon or not at all. Raise ConfigurationError."""
        if name not in self._queues:
            (queue,) = queues_of([name])
            hasten(queue, Retry(NoBackoff(), 0), timeout=PATIENCE)
            self._queues[name] = queue
        return self._queues[name]

    def _is_first(self, name: str, execution: Ringable) -> bool:
        """Say whether nobody else has just found the job missing; RQ bears doubles badly."""
        key = f"rq:workflows:missed:{_job_id(execution)}"
        try:
            return bool(self._queue(name).connection.set(key, 1, nx=True, px=ONCE_IN))
        except (ConfigurationError, RedisError):
            return True  # to be told so by whoever rings

    def _waiting(self, name: str) -> Collection[str]:
        """Return the ids of the jobs in a queue; none where that cannot be told."""
        try:
            return set(self._queue(name).get_job_ids())
        except (ConfigurationError, RedisError):
            return ()


def _job_id(execution: Ringable) -> str:
    """Return the same id until somebody claims the execution, and then another."""
    return f"{execution.id}-{execution.fence}"

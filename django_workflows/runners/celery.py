"""CeleryAdapter: a message for each execution, to the broker of the project's Celery app."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from django_workflows.core.presence import Presence
from django_workflows.exceptions import ConfigurationError
from django_workflows.runners.base import Adapter, Ringable
from django_workflows.runners.jobs import perform

try:
    from celery import current_app, shared_task
    from kombu.pools import ProducerPool
except ImportError as error:  # pragma: no cover  the tests have it
    raise ConfigurationError(
        'CeleryAdapter needs Celery: pip install "django-durable-workflows[celery]"'
    ) from error

#: Seconds that whoever starts an execution waits for the broker to answer, at most.
PATIENCE = 1.0

#: Connections of a process to the broker, at most.
CONNECTIONS = 10

#: A connection that died while nobody used it is made anew at once, and no more is tried.
AT_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}

#: The limit of a task's time, in seconds: none, but Celery takes 0 for the project's own.
NO_LIMIT = 10 * 365 * 24 * 3600

#: The highest priority that a message of RabbitMQ may have, and the lowest of Redis.
HIGHEST, LOWEST_OF_REDIS = 255, 9


@shared_task(  # type: ignore[untyped-decorator]
    name="django_workflows.drive",
    serializer="json",
    ignore_result=True,
    # A failed execution is to be a failed task, where there is a result backend.
    store_errors_even_if_ignored=True,
    # An alarm could go off in the middle of a commit; steps have a timeout.
    soft_time_limit=NO_LIMIT,
    time_limit=NO_LIMIT,
)
def drive(execution_id: str) -> None:
    """Drive the execution; see performing.perform()."""
    perform(execution_id)


class CeleryAdapter(Adapter):
    """
    Send a message to the broker of the project's Celery app.

    Executions that name no queue are on ``queue``; without it, on the one that Celery's routes say,
    or its default. Celery's own workers drive them, and know the task ``django_workflows.drive`` by
    itself.
    """

    def __init__(self, drive: Callable[[str], object], *, queue: str | None = None) -> None:
        super().__init__(drive, queue=queue)
        self._pools: dict[int, Any] = {}

    @property
    def queue(self) -> str:
        """See Adapter.queue."""
        return str(self.options["queue"] or current_app.conf.task_default_queue)

    @property
    def drives_here(self) -> bool:
        """See Adapter.drives_here: so it does where tasks are eager."""
        return bool(current_app.conf.task_always_eager)

    @property
    def worker_command(self) -> str:
        """See Adapter.worker_command."""
        return f"`celery -A your_project worker -Q {self.queue}`"

    def problems(self) -> Iterator[str]:
        """See Adapter.problems()."""
        if not current_app.fixups:  # Celery's own, for want of another
            yield (
                "There is no Celery app in this process, so jobs would go to a broker that nobody"
                " named. Import yours in the project's __init__.py:"
                " `from .celery import app as celery_app`."
            )
        if not {"json", "application/json"} & set(current_app.conf.accept_content):
            yield (
                f"Celery's accept_content is {current_app.conf.accept_content!r}, but a job is"
                ' JSON. Add "json" to it.'
            )

    def dispatch(self, execution: Ringable) -> None:
        """See Adapter.dispatch()."""
        options: dict[str, Any] = {}
        queue = execution.queue or self.options["queue"]
        if queue:
            options["queue"] = queue
        with self._producers().acquire(block=True, timeout=PATIENCE) as producer:
            if execution.priority:
                driver = producer.connection.transport.driver_type
                options["priority"] = _priority(execution.priority, driver)
            drive.apply_async(
                (execution.id,),
                task_id=f"{execution.id}-{execution.fence}",
                producer=producer,
                retry=True,
                retry_policy=AT_ONCE,
                add_to_parent=False,
                **options,
            )

    def listeners(self, present: Iterable[Presence]) -> Collection[str] | None:
        """See Adapter.listeners(). Celery would have to wait for its workers' answers."""
        return None

    def _producers(self) -> Any:
        """Return this process's connections, which give up soon: Celery's own go on for long."""
        pid = os.getpid()
        if pid not in self._pools:
            connection = current_app.connection_for_write(
                connect_timeout=PATIENCE,
                transport_options={
                    "max_retries": 0,
                    "socket_timeout": PATIENCE,
                    "socket_connect_timeout": PATIENCE,
                    "read_timeout": PATIENCE,
                    "write_timeout": PATIENCE,
                },
            )
            connections = connection.Pool(CONNECTIONS)
            weakref.finalize(self, _close, connections, pid)
            self._pools = {pid: ProducerPool(connections)}
        return self._pools[pid]


def _close(connections: Any, pid: int) -> None:
    """Close what process ``pid`` opened; a forked child leaves the connections to its parent."""
    if pid == os.getpid():
        connections.force_close_all()


def _priority(priority: int, driver: str) -> int:
    """Return ``priority``, of which more is sooner, as the broker counts it."""
    if driver == "redis":  # 0 is the soonest, and what a message without one has
        return min(max(-priority, 0), LOWEST_OF_REDIS)
    return min(max(priority, 0), HIGHEST)

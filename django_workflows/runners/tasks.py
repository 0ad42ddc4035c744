"""TasksAdapter: Django's Tasks framework, from 6.0 its own, before that the backport."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from importlib import import_module
from typing import Any

import django
from django.core.exceptions import ImproperlyConfigured

from django_workflows.core.presence import Presence
from django_workflows.exceptions import ConfigurationError
from django_workflows.runners.base import Adapter, Ringable
from django_workflows.runners.jobs import perform

_LIBRARY = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"

try:
    # Of one of two packages, so of no type that is known here.
    tasks: Any = import_module(_LIBRARY)
except ImportError as error:  # pragma: no cover  the tests have it
    raise ConfigurationError(
        "TasksAdapter needs Django 6.0, or the backport of its Tasks:"
        ' pip install "django-durable-workflows[tasks]"'
    ) from error

#: The priorities that a task may have.
LOWEST, HIGHEST = -100, 100


def _any_queue() -> dict[str, str]:
    """Return a backend and a queue that there are. Any will do, as each job names its own."""
    alias = next(iter(tasks.task_backends), "default")
    try:
        queues = tasks.task_backends[alias].queues
    except ImproperlyConfigured as error:
        raise ConfigurationError(f"settings.TASKS cannot be used: {error}") from error
    return {"backend": alias, "queue_name": min(queues, default="default")}


@tasks.task(**_any_queue())  # type: ignore[untyped-decorator]
def drive(execution_id: str) -> None:
    """Drive the execution; see performing.perform()."""
    perform(execution_id)


class TasksAdapter(Adapter):
    """
    Enqueue a task on ``backend``, an alias of ``settings.TASKS``.

    Executions that name no queue are on ``queue``. The backend's own workers drive them; with
    ImmediateBackend, it is whoever makes them pending.
    """

    def __init__(
        self, drive: Callable[[str], object], *, backend: str = "default", queue: str = "default"
    ) -> None:
        super().__init__(drive, backend=backend, queue=queue)
        self.backend = backend

    @property
    def drives_here(self) -> bool:
        """See Adapter.drives_here: so it does where tasks are run at once, of either package."""
        return any(kind.__name__ == "ImmediateBackend" for kind in type(self._backend()).mro())

    @property
    def worker_command(self) -> str:
        """See Adapter.worker_command."""
        return f"the worker of TASKS[{self.backend!r}], such as `manage.py db_worker`"

    def problems(self) -> Iterator[str]:
        """See Adapter.problems()."""
        try:
            backend = tasks.task_backends[self.backend]
        except ImproperlyConfigured as error:
            yield (
                f"TASKS has no backend {self.backend!r} that can be used: {str(error).rstrip('.')}."
                f" Correct TASKS[{self.backend!r}], or name another in"
                " WORKFLOWS['ADAPTER']['OPTIONS']['backend']."
            )
            return
        if backend.queues and self.queue not in backend.queues:
            known = ", ".join(map(repr, sorted(backend.queues)))
            yield (
                f"The queue {self.queue!r} is not in TASKS[{self.backend!r}]['QUEUES']; there are:"
                f" {known}. Add it, or name another in WORKFLOWS['ADAPTER']['OPTIONS']['queue']."
            )
        if _is_rq(backend):
            yield from _rq_problems(self.queue)

    def dispatch(self, execution: Ringable) -> None:
        """
        See Adapter.dispatch(). Priorities are cut to what a task may have.

        Raise ConfigurationError where the backend is RQ's and the queue pickles.
        """
        backend, queue = self._backend(), self.queue_of(execution)
        if _is_rq(backend):
            _refuse_pickle(queue)
        options: dict[str, Any] = {"backend": self.backend, "queue_name": queue}
        if getattr(backend, "supports_priority", False):
            options["priority"] = min(max(execution.priority, LOWEST), HIGHEST)
        drive.using(**options).enqueue(execution.id)

    def listeners(self, present: Iterable[Presence]) -> Collection[str] | None:
        """See Adapter.listeners(). The framework knows nothing of workers."""
        return None

    def _backend(self) -> Any:
        """Return the backend, or None where there is none; problems() says why."""
        try:
            return tasks.task_backends[self.backend]
        except ImproperlyConfigured:
            return None


def _is_rq(backend: Any) -> bool:
    return type(backend).__module__.startswith("django_tasks_rq")


def _refuse_pickle(queue: str) -> None:
    from django_workflows.runners.rq.queues import problem

    found = problem(queue)
    if found is not None:
        raise ConfigurationError(found)


def _rq_problems(queue: str) -> Iterator[str]:
    from django_workflows.runners.rq.queues import declared, problem

    found = problem(queue)
    if found is not None:
        yield found
    elif declared()[queue].get("DEFAULT_TIMEOUT") != -1:
        yield (
            f"RQ stops each task of the queue {queue!r} after a while, perhaps in the middle of a"
            f" commit. Set RQ_QUEUES[{queue!r}]['DEFAULT_TIMEOUT'] = -1; steps have a timeout."
        )

"""What the settings name, built: the store, the adapter, and engines that use both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from threading import Event as Flag
from threading import RLock
from typing import Any

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from django_workflows import signals
from django_workflows.conf import settings
from django_workflows.core.chores import Chore
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.engine import Engine
from django_workflows.core.engine.chores import Chores
from django_workflows.core.engine.limits import Limits
from django_workflows.core.execution import Event, Execution, ExecutionResult, ExecutionStatus
from django_workflows.core.logs import log
from django_workflows.core.store import Store
from django_workflows.core.workflow import Workflow, registry
from django_workflows.exceptions import (
    ConfigurationError,
)
from django_workflows.runners.base import Adapter, Ringable, ring
from django_workflows.runners.threads import DjangoThreads

logger = logging.getLogger("django_workflows")

#: Set once this process is to stop: what it drives comes to rest after its current step.
stopping = Flag()

_built: dict[str, Any] = {}
_remembering: set[str] = set()  # under way in some thread
_lock = RLock()


def store() -> Store:
    """Return the store of this process. Raise ConfigurationError."""
    return _once("STORE", Store)  # type: ignore[no-any-return]


def adapter() -> Adapter:
    """Return the adapter of this process. Raise ConfigurationError."""
    return _once("ADAPTER", Adapter, drive)  # type: ignore[no-any-return]


def engine(definition: WorkflowDefinition, *, here: bool = False) -> Engine:
    """
    Return an engine as the settings describe it.

    ``here`` drives what becomes pending by its doing in this process, instead of dispatching it.
    """
    remember(definition)
    return Engine(
        definition,
        store(),
        emit=signals.send,
        limits=limits(),
        threads=DjangoThreads(settings.PARALLEL_THREADS),
        lookup=registry.__getitem__,
        awaken=None if here else dispatch,
        stopping=stopping.is_set,
    )


def chores() -> Chores:
    """Return who does chores outside an engine; what becomes pending by it is dispatched."""
    return Chores(store(), dispatch, tell)


def emit(event: Event) -> None:
    """Log, and send the signal of, something that happened outside an engine."""
    log(event)
    signals.send(event)


def tell(name: str, execution: Execution, /, step: str | None = None, **data: Any) -> None:
    """Send the signal of what happened to an execution outside an engine, on commit."""
    event = Event(
        name=name,
        execution_id=execution.id,
        workflow_id=execution.workflow_id,
        step=step,
        data=data,
    )
    store().on_commit(lambda: emit(event))


def limits() -> Limits:
    """Return the limits that the settings name."""
    return Limits(
        lease=timedelta(seconds=settings.LEASE),
        payload_bytes=settings.MAX_PAYLOAD_BYTES,
        visits=settings.MAX_VISITS,
        depth=settings.MAX_DEPTH,
        claims=settings.MAX_CLAIMS,
    )


def dispatch(execution: Ringable) -> bool:
    """
    Ring for what is pending, once what this thread has written is committed.

    Say whether the bell rang, or yet will. What is not pending needs none.
    """
    if isinstance(execution, Execution) and execution.status != ExecutionStatus.PENDING:
        return False
    return ring(store(), adapter(), execution)


def drive(execution_id: str) -> ExecutionResult | None:
    """
    Claim an execution and drive it here; what a worker calls.

    Return None where it is not to be driven. Raise ExecutionNotFound, UnknownWorkflow.
    """
    if stopping.is_set() and adapter().drives_here:
        return None  # given back, it would be rung for, and so driven here, again and again
    execution = store().load(execution_id)
    return engine(registry[execution.workflow_id]).drive(execution_id)


def do_on_commit(left: Sequence[Chore]) -> None:
    """
    Do chores that this thread has written, once they are committed.

    What goes wrong with them is logged: a supervisor does what is not crossed off.
    """

    def now() -> None:
        try:
            chores().do(left)
        except Exception:
            logger.exception("Chores could not be done; the next sweep will try again")

    store().on_commit(now)


def definition_of(workflow: type[Workflow] | WorkflowDefinition | str) -> WorkflowDefinition:
    """Return the definition of a class, of an id, or itself. Raise UnknownWorkflow."""
    if isinstance(workflow, WorkflowDefinition):
        return workflow
    if isinstance(workflow, str):
        return registry.whole(workflow)  # a part is run by its step alone
    # Its own, not one that it inherits from a registered class.
    definition = getattr(workflow, "__dict__", {}).get("definition")
    if not isinstance(definition, WorkflowDefinition):
        raise ConfigurationError(
            f"{workflow!r} is no registered workflow; decorate its class with @register."
        )
    return definition


def remember(definition: WorkflowDefinition) -> None:
    """Keep the graph of this version, once a process, so that old executions can be drawn."""
    key = f"graph:{definition.id}:{definition.version}"
    if _built.get(key) is definition:
        return
    with _lock:
        if key in _remembering:
            return  # another thread sees to it
        _remembering.add(key)
    try:
        found = store()
        found.remember_graph(definition.id, definition.version, definition.to_dict())
    finally:
        _remembering.discard(key)

    def remembered() -> None:
        _built[key] = definition

    # Until it is committed, it may yet be rolled back.
    found.on_commit(remembered)


def forget(*, setting: str = "WORKFLOWS", **_: Any) -> None:
    """Forget what was built, so that changed settings count."""
    if setting in {"WORKFLOWS", "DATABASES"}:
        with _lock:
            _built.clear()


setting_changed.connect(forget)


def _once(name: str, kind: type, *arguments: Callable[..., object]) -> Any:
    with _lock:
        if name not in _built:
            _built[name] = _build(name, kind, *arguments)
        return _built[name]


def _build(name: str, kind: type, *arguments: Callable[..., object]) -> Any:
    declared = getattr(settings, name)
    if not isinstance(declared, Mapping) or "BACKEND" not in declared:
        raise ConfigurationError(
            f"WORKFLOWS[{name!r}] must be a dict with a BACKEND, not {declared!r}."
        )
    path, options = declared["BACKEND"], declared.get("OPTIONS", {})
    try:
        backend = import_string(str(path))
    except ImportError as error:
        raise ConfigurationError(f"WORKFLOWS[{name!r}] names {path!r}: {error}") from error
    if not (isinstance(backend, type) and issubclass(backend, kind)):
        raise ConfigurationError(
            f"WORKFLOWS[{name!r}] names {path!r}, which is no {kind.__name__}."
        )
    try:
        return backend(*arguments, **options)
    except TypeError as error:
        raise ConfigurationError(
            f"WORKFLOWS[{name!r}] has OPTIONS that do not fit: {error}"
        ) from error

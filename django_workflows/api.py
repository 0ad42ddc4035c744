"""
The public functions: the one place that brings registry, store, engine and adapter together.

Each has an async twin, ``a`` before its name, for code that runs on an event loop.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django_workflows import wiring
from django_workflows.conf import settings
from django_workflows.core import clock, control
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import open_waits
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.document import load_document
from django_workflows.core.engine import Engine
from django_workflows.core.engine.answering import find_wait
from django_workflows.core.execution import Execution, ExecutionResult, ExecutionStatus
from django_workflows.core.explaining import explained
from django_workflows.core.ids import derived_id, new_id
from django_workflows.core.undoing import is_undone
from django_workflows.core.waits import Answer, InboxEvent
from django_workflows.core.workflow import Workflow, install, registry
from django_workflows.exceptions import InvalidTransition, PayloadError
from django_workflows.health import unheard_queue
from django_workflows.permissions import label, permit
from django_workflows.runners.async_ import wait_for
from django_workflows.verbs import cancel, fork, retry, skip, storable

__all__ = [
    "AnyWorkflow",
    "cancel",
    "explain",
    "fork",
    "get",
    "load_workflow",
    "resume",
    "retry",
    "run",
    "send_event",
    "skip",
    "start",
    "subject_label",
    "wait",
]

AnyWorkflow = type[Workflow] | WorkflowDefinition | str

#: What a column of 32 bits holds, on every database.
MOST_PRIORITY = 2**31 - 1


def load_workflow(source: str | os.PathLike[str], *, add: bool = True) -> WorkflowDefinition:
    """
    Read a YAML document, a path or its text, validate it and register it.

    The services it may call are those of ``WORKFLOWS["SERVICES"]``. Raise DefinitionError with
    every problem of the document, each with its file, step and key.
    """
    text = source if isinstance(source, str) else Path(source)
    definition = load_document(text, services=settings.SERVICES)
    return registry.add(definition.id, definition, same=_same_document) if add else definition


def _same_document(old: WorkflowDefinition, new: WorkflowDefinition) -> bool:
    return bool(new.source) and old.source == new.source


def start(
    workflow: AnyWorkflow,
    input: Mapping[str, Any] | None = None,
    *,
    execution_id: str | None = None,
    idempotency_key: str | None = None,
    subject: Any = None,
    by: Any = None,
    queue: str | None = None,
    priority: int | None = None,
    delay: float | timedelta | None = None,
) -> Execution:
    """
    Write a pending execution, and ring for it when the transaction commits.

    The same ``execution_id`` (a UUID) or ``idempotency_key`` again returns the first execution.
    ``subject`` is the model instance it is about, ``by`` the user who starts it. With ``delay``,
    in seconds or as a timedelta, it waits that long first.

    Raise UnknownWorkflow, and InputError with the error of every field; nothing is written then.
    """
    definition = wiring.definition_of(workflow)
    engine = wiring.engine(definition)
    fields = _fields(idempotency_key, subject, by, queue, priority)
    execution = engine.new(input, execution_id, **fields)
    later = None if delay is None else control.postpone(_pause(delay))
    wiring.adapter()  # one that is not configured well is told of before anything is written
    # One statement needs no transaction around it; that would be two more round trips.
    with engine.store.atomic() if later is not None else nullcontext():
        stored = engine.write(execution)
        is_new = stored.id == execution.id and stored.created_at == execution.created_at
        if later is not None and is_new:
            with suppress(InvalidTransition):  # a store without transactions: it has begun
                stored = engine.store.transition(stored.id, later)
        wiring.dispatch(stored)
    return stored


def run(
    workflow: AnyWorkflow,
    input: Mapping[str, Any] | None = None,
    *,
    execution_id: str | None = None,
    idempotency_key: str | None = None,
    subject: Any = None,
    by: Any = None,
    queue: str | None = None,
    priority: int | None = None,
) -> ExecutionResult:
    """
    Drive a new execution here until it completes, halts or fails; see start().

    A failed step does not raise; ``result.raise_for_status()`` does. Raise ConfigurationError
    inside an open transaction, where no checkpoint would last.
    """
    engine = wiring.engine(wiring.definition_of(workflow), here=True)
    return engine.run(input, execution_id, **_fields(idempotency_key, subject, by, queue, priority))


def _pause(delay: object) -> timedelta:
    pause = delay
    if isinstance(delay, (int, float)) and not isinstance(delay, bool):
        with suppress(ValueError):  # NaN
            # Cut before it is counted: there are more floats than timedeltas.
            pause = timedelta(seconds=max(-1, min(delay, 2 * clock.LONGEST.total_seconds())))
    if not isinstance(pause, timedelta):
        raise PayloadError("delay", f"must be seconds or a timedelta, 0 or more, not {delay!r}")
    if pause < timedelta(0):
        raise PayloadError("delay", "must be 0 or more seconds")
    if pause > clock.LONGEST:
        raise PayloadError("delay", f"must be at most 100 years ({clock.LONGEST.days:,} days)")
    return pause


def _fields(
    idempotency_key: str | None, subject: Any, by: Any, queue: str | None, priority: int | None
) -> dict[str, Any]:
    if idempotency_key == "":
        # A form field left blank would make all orders one.
        raise PayloadError("idempotency_key", "is empty; leave it out, or give a key")
    if queue is not None and not (queue and isinstance(queue, str)):
        raise PayloadError("queue", f"must be the name of a queue, not {queue!r}")
    if isinstance(priority, bool) or not isinstance(priority or 0, int):
        raise PayloadError("priority", f"must be a whole number, not {priority!r}")
    if abs(priority or 0) > MOST_PRIORITY:
        raise PayloadError("priority", f"must be within ±{MOST_PRIORITY:,}, not {priority:,}")
    return {
        "idempotency_key": idempotency_key,
        "subject": subject_label(subject),
        "started_by": label(by),
        "queue": queue,
        "priority": priority or 0,
    }


def subject_label(subject: Any) -> str | None:
    """Return how an execution names the model instance it is about: ``app.model:pk``."""
    if subject is None or isinstance(subject, str):
        return subject
    if not hasattr(subject, "_meta"):
        raise PayloadError("subject", f"must be a model instance or its label, not {subject!r}")
    if subject.pk is None:
        raise PayloadError("subject", f"{subject!r} is not saved yet; save it first")
    # A proxy's instances are those of the model that has the table.
    model = subject._meta.concrete_model
    return f"{model._meta.label_lower}:{subject.pk}"


def get(execution_id: str) -> Execution:
    """Return an execution as it stands. Raise ExecutionNotFound."""
    return wiring.store().load(str(execution_id))


def resume(
    execution_id: str,
    *,
    response: Any = None,
    approved: bool | None = None,
    step: str | None = None,
    by: Any = None,
    wait: bool = False,
) -> Execution | ExecutionResult:
    """
    Answer an open wait: recorded first, then dispatched on commit. Return the execution.

    With ``wait`` it is driven here, and the ExecutionResult is returned. ``step`` names the wait,
    by path or id, where several are open, or where the answer may come late; left out, it is the
    one that asks somebody: a sleep, a pause or an event is ended by name only. ``by`` is the user
    who answers, and is checked against the step's approvers under the lock.

    Raise ExecutionNotFound, NotResumable (it lists the open steps), AlreadyResumed with who and
    when, NotAllowed, PayloadError, ResponseError where it is not what the step asks for.
    """
    engine = _engine_for(str(execution_id))
    if wait:
        engine.store.refuse_open_transaction()
    answer = Answer(response=storable("response", response), approved=approved, by=label(by))
    target, named = find_wait(engine.store, str(execution_id), step)
    settled = engine.store.settle(target, named, answer, permit=permit(by, engine.store.entries))
    if not wait:
        wiring.dispatch(settled)
        return settled if target == execution_id else get(execution_id)
    if settled.status == ExecutionStatus.PENDING:
        wiring.engine(registry[settled.workflow_id], here=True).drive(settled.id)
    return engine.result(str(execution_id))


def send_event(
    name: str,
    key: Any = "",
    data: Any = None,
    by: Any = None,
    *,
    idempotency_key: str | None = None,
) -> InboxEvent:
    """
    Send an event to the oldest WaitForEvent that asks for ``name`` and ``key``.

    One that comes before its wait is kept until then. It is delivered when the transaction
    commits. Sent again with the same ``idempotency_key``, the id that a webhook gives its message,
    it is the first one: that is returned, for as long as it is kept. Raise PayloadError where
    ``data`` cannot be kept.
    """
    return sent_event(name, key, data, by, idempotency_key)[0]


def sent_event(
    name: str, key: Any, data: Any, by: Any, idempotency_key: Any
) -> tuple[InboxEvent, bool]:
    """Return what send_event() does, and whether it is new."""
    if not name or ":" in name:
        raise PayloadError("name", f"event {name!r} must be a name without a colon")
    once = idempotency_key
    if once is not None and not (isinstance(once, str) and once):
        raise PayloadError("idempotency_key", f"{once!r} must be a text, not empty")
    store = wiring.store()
    key = "" if key is None else str(key)
    event = InboxEvent(
        id=derived_id("event", name, key, once) if once else new_id(),
        name=name,
        key=key,
        data=storable("data", data),
        by=label(by),
        sent_at=clock.now(),
    )
    chore = Chore(kind=ChoreKind.DELIVER, target=event.topic)
    kept = store.add_event(event, chore)
    is_new = kept is event
    if is_new:
        wiring.do_on_commit([chore])
    return kept, is_new


def wait(execution_id: str, timeout: float | None = None) -> ExecutionResult:
    """
    Return the result once an execution has ended or halted.

    Raise ExecutionNotFound, or TimeoutError after ``timeout`` seconds.
    """
    return wait_for(_engine_for(str(execution_id)).result, str(execution_id), timeout)


def explain(execution_id: str) -> str:
    """Say in one sentence why an execution is where it is. Raise ExecutionNotFound."""
    store = wiring.store()
    execution = store.load(str(execution_id))
    waits = open_waits(store.waits(execution.id))
    known = execution.workflow_id in registry
    unheard = None
    if execution.status == ExecutionStatus.PENDING:
        unheard = unheard_queue(execution.queue)
    tally = partial(store.tally, execution.id)
    definition = registry[execution.workflow_id] if known else None
    undone = is_undone(store, execution, definition)
    return explained(execution, waits, tally, known=known, unheard=unheard, undone=undone)


def _engine_for(execution_id: str) -> Engine:
    return wiring.engine(registry[wiring.store().load(execution_id).workflow_id])


class _Hooks:
    """What Workflow.start() and .run() call."""

    start = staticmethod(start)
    run = staticmethod(run)


install(_Hooks())

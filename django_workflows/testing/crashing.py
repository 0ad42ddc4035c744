"""Kill a workflow at every boundary, recover it, and compare with the undisturbed run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, cast

from django_workflows.core import clock
from django_workflows.core.definition import WorkflowDefinition, plain_path
from django_workflows.core.engine import Engine
from django_workflows.core.engine.limits import Limits
from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import Entry, EntryAction, Event
from django_workflows.core.ids import new_id
from django_workflows.core.store import Store
from django_workflows.core.workflow import Workflow, registry
from django_workflows.exceptions import ExecutionNotFound
from django_workflows.runners.sync import Respond
from django_workflows.stores.memory import MemoryStore
from django_workflows.testing.driving import bring_to_end, yes

#: Every write of a store: a process may die right before and right after each.
WRITES = frozenset(
    {
        *("create", "create_children", "claim", "checkpoint", "suspend", "settle", "transition"),
        *("supersede", "release_held", "finish_chore"),
        *("transition_all", "finish_chores"),
    }
)


class SimulatedCrash(BaseException):
    """The process dies here: no handler of the engine or of the author sees it."""


@dataclass(slots=True)
class Fuse:
    """Counts the points at which a process may die, and dies at one of them."""

    blow_at: int | None = None
    points: list[str] = field(default_factory=list)

    def pass_by(self, point: str) -> None:
        """Die here, if this is the point."""
        self.points.append(point)
        if self.blow_at == len(self.points) - 1:
            raise SimulatedCrash(point)


class FusedStore:
    """A store whose every write has a fuse before and after it."""

    def __init__(self, store: Store, fuse: Fuse) -> None:
        self._store = store
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        if name not in WRITES:
            return attribute

        def write(*arguments: Any, **options: Any) -> Any:
            self._fuse.pass_by(f"before {name}")
            written = attribute(*arguments, **options)
            self._fuse.pass_by(f"after {name}")
            return written

        return write


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashReport:
    """What assert_crash_safe() has tried."""

    points: list[str]  # every point at which the process was killed
    undisturbed: dict[str, Any]  # what every recovered run had to equal


def assert_crash_safe(
    workflow: type[Workflow] | WorkflowDefinition | str,
    input: Mapping[str, Any] | None = None,
    *,
    respond: Respond = yes,
    store: Callable[[], Store] = MemoryStore,
    before: Callable[[], object] | None = None,
    effects: Callable[[], Any] | None = None,
    ignore: Collection[str] = (),
) -> CrashReport:
    """
    Run a workflow once for each boundary of its run, killed there and recovered by a new engine.

    Boundaries are: before each step, after its effect and before its checkpoint, after its
    checkpoint, and around every other write. Raise AssertionError where final status, result,
    ctx or history differ from the undisturbed run; attempts, durations and times may.

    ``store`` makes the store of a run: with ``atomic`` steps, give OrmStore, whose transaction
    their writes share. ``respond`` answers its waits (see runners.sync.Respond), ``before`` is
    called ahead of each run, and ``effects`` returns what a run did to the world, to be compared as
    well: of steps that are not atomic, count what idempotency keys leave. Of the steps, variables
    and result keys named in ``ignore`` only the type is compared: a primary key from a sequence
    differs between any two runs.
    """
    definition = _definition(workflow)
    fuse = Fuse()
    # One id for all runs, so that the idempotency keys of all are the same.
    execution_id = new_id()

    def run(fuse: Fuse) -> dict[str, Any]:
        if before is not None:
            before()
        return _run(
            definition,
            input,
            execution_id=execution_id,
            store=store(),
            respond=respond,
            fuse=fuse,
            look=partial(_seen, effects=effects, ignore=frozenset(ignore)),
        )

    expected = run(fuse)
    total = len(fuse.points)
    for number in range(total):
        blown = Fuse(blow_at=number)
        found = run(blown)
        point = f"point {number} of {total}, {blown.points[number]}"
        for what, wanted in expected.items():
            if found[what] != wanted:
                raise AssertionError(
                    f"Killed at {point}: {what} differs from the undisturbed run.\n"
                    f"  undisturbed: {wanted!r}\n  recovered:   {found[what]!r}"
                )
    return CrashReport(points=fuse.points, undisturbed=expected)


def _definition(workflow: type[Workflow] | WorkflowDefinition | str) -> WorkflowDefinition:
    if isinstance(workflow, str):
        return registry[workflow]
    return workflow if isinstance(workflow, WorkflowDefinition) else workflow.definition


def _run(
    definition: WorkflowDefinition,
    input: Mapping[str, Any] | None,
    *,
    execution_id: str,
    store: Store,
    respond: Respond,
    fuse: Fuse,
    look: Callable[[Store, str], dict[str, Any]],
) -> dict[str, Any]:
    try:
        try:
            doomed = _engine(definition, cast("Store", FusedStore(store, fuse)), fuse)
            doomed.run(input, execution_id)
            bring_to_end(doomed, execution_id, respond)
        except SimulatedCrash:
            _recover(definition, store, execution_id, input, respond)
        return look(store, execution_id)
    finally:
        store.delete(execution_id)
        clock.reset()


def _engine(definition: WorkflowDefinition, store: Store, fuse: Fuse | None = None) -> Engine:
    def emit(event: Event) -> None:
        if fuse is not None and event.name == "step.started":
            fuse.pass_by(f"before step {event.step}")

    def lookup(workflow_id: str) -> WorkflowDefinition:
        return definition if workflow_id == definition.id else registry[workflow_id]

    # Branches in turn, so that the same number is the same point in each run.
    return Engine(
        definition, store, emit=emit, threads=Threads(branches=0), lookup=lookup, limits=Limits()
    )


def _recover(
    definition: WorkflowDefinition,
    store: Store,
    execution_id: str,
    input: Mapping[str, Any] | None,
    respond: Respond,
) -> None:
    """Do what is done after a crash: leases run out, and another process drives on."""
    engine = _engine(definition, store)
    clock.travel(engine.limits.lease + timedelta(seconds=1))
    try:
        store.load(execution_id)
    except ExecutionNotFound:
        # Nobody was told that it had started, so whoever asked for it asks again.
        engine.run(input, execution_id)
    bring_to_end(engine, execution_id, respond)


def _seen(
    store: Store,
    execution_id: str,
    *,
    effects: Callable[[], Any] | None,
    ignore: frozenset[str],
) -> dict[str, Any]:
    """Return what must be equal, with times made alike."""
    execution = store.load(execution_id)
    seen = {
        "status": execution.status,
        "result": _alike(execution.result, ignore),
        "error": execution.error,
        "ctx": _alike(execution.ctx, ignore),
        "history": [
            _line(entry, ignore)
            for entry in store.entries(execution_id)
            if entry.action != EntryAction.ABANDONED  # that a driver died is known
        ],
    }
    for child in sorted(store.find(parent=execution_id), key=lambda child: child.id):
        seen[f"child {child.id}"] = _seen(store, child.id, effects=None, ignore=ignore)
    if effects is not None:
        seen["effects"] = _alike(effects(), ignore)
    return seen


def _line(entry: Entry, ignore: frozenset[str]) -> tuple[Any, ...]:
    name = plain_path(entry.step_id).rpartition("/")[2]
    output = _kind(entry.output) if name in ignore else _alike(entry.output, ignore)
    return (entry.step_id, entry.step_type, entry.action, output, entry.error, entry.by)


def _alike(value: Any, ignore: frozenset[str]) -> Any:
    """Return ``value`` without what differs between any two runs."""
    if isinstance(value, Mapping):
        return {
            key: _kind(item) if key in ignore else _alike(item, ignore)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_alike(item, ignore) for item in value]
    return _kind(value) if isinstance(value, (datetime, date)) else value


def _kind(value: Any) -> str:
    return type(value).__name__

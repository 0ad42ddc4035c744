"""What must hold of an execution at every moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from django_workflows import registry
from django_workflows.core.definition import WorkflowDefinition, plain_path
from django_workflows.core.execution import Entry, EntryAction, ExecutionStatus
from django_workflows.core.waits import Cause, Wait, WaitKind, WaitStatus
from django_workflows.steps import Parallel
from tests.machine.seen import Seen, is_by_hand
from tests.machine.world import world

DONE = {EntryAction.COMPLETED, EntryAction.COMPENSATED}

#: Each tells of one time that the step's work was done.
ATTEMPTS = DONE | {EntryAction.FAILED, EntryAction.RETRIED}

#: Variables that a loop lends to its body, and an error to its step.
_LENT = {"item", "index", "iteration", "_last_error"}


def check(seen: Seen, noted: Mapping[str, int]) -> None:
    """Assert everything of one execution. ``noted`` is what atomic steps have written."""
    for ask in (
        check_status,
        check_answers,
        check_visits,
        check_variables,
        check_compensations,
        check_result,
    ):
        ask(seen)
    check_effects(seen, noted)


def check_status(seen: Seen) -> None:
    """Assert that what is stored fits the status."""
    execution, status = seen.execution, seen.execution.status
    facts = {
        "finished_at": execution.finished_at is not None,
        "halt_data": execution.halt_data is not None,
        "recover_to": execution.recover_to is not None,
        "lease_owner": execution.lease_owner is not None,
        "lease_expires_at": execution.lease_expires_at is not None,
        "open waits": bool(seen.open_waits),
        "answers to act on": any(wait.status == WaitStatus.SETTLED for wait in seen.waits),
    }
    is_running = status == ExecutionStatus.RUNNING
    is_halted = status == ExecutionStatus.HALTED
    wanted = {
        "finished_at": status.is_final,
        "halt_data": is_halted,
        "recover_to": is_halted and not seen.is_held,
        "lease_owner": is_running,
        "lease_expires_at": is_running,
        # Another branch's may be open while one goes on.
        "open waits": (is_halted and not seen.is_held)
        or (not status.is_final and facts["open waits"]),
        "answers to act on": not status.is_final and not is_halted and facts["answers to act on"],
    }
    assert facts == wanted, f"{execution.id} is {status}"
    if is_halted and not seen.is_held:
        first = seen.open_waits[0]
        assert execution.halt_data == first.data
        assert execution.recover_to == (first.resume_step or first.step)
    if status != ExecutionStatus.COMPLETED:
        assert execution.result is None
    _check_error(seen)


def _check_error(seen: Seen) -> None:
    execution, status = seen.execution, seen.execution.status
    # Since somebody last had it run; who gave it up meanwhile is not its own doing.
    told = [entry.action for entry in seen.entries if entry.action != EntryAction.ABANDONED]
    match status:
        case ExecutionStatus.FAILED:
            assert execution.error
            assert _FAILURES & set(_latest(seen)), f"no entry tells of {execution.error}"
        case ExecutionStatus.CANCELLED:
            # Of one that was being undone, it comes behind the error.
            assert "Cancelled: " in execution.error
            assert told[-1] == EntryAction.CANCELLED
        case ExecutionStatus.COMPLETED:
            assert execution.error is None
            assert told[-1] in _ENDS
        case _:
            assert execution.error is None or execution.compensations or ":" in _last_step(seen)


#: The last step may have been skipped, and then there was nothing left for a retry to do.
_ENDS = {EntryAction.COMPLETED, EntryAction.SKIPPED, EntryAction.RETRIED}
_FAILURES = {EntryAction.FAILED, EntryAction.TIMED_OUT}


def _latest(seen: Seen) -> list[EntryAction]:
    """Return what happened since somebody last had it run by hand."""
    latest: list[EntryAction] = []
    for entry in seen.entries:
        latest = [] if is_by_hand(entry) else [*latest, entry.action]
    return latest


def _last_step(seen: Seen) -> str:
    """Return the step of the last entry; one that undoes another has a colon in its path."""
    steps = [entry.step_id for entry in seen.entries if entry.action != EntryAction.ABANDONED]
    return steps[-1] if steps else ""


def check_answers(seen: Seen) -> None:
    """Assert that waits and history tell one story."""
    given = Counter(wait.step for wait in seen.waits for _ in wait.answers)
    resumed = Counter(entry.step_id for entry in _entries(seen, EntryAction.RESUMED))
    assert given == resumed, f"{seen.execution.id}: answers and entries differ"
    halted = Counter(entry.step_id for entry in _entries(seen, EntryAction.HALTED))
    for step, count in Counter(wait.step for wait in seen.waits if _is_halt(seen, wait)).items():
        assert halted[step] >= count, f"{seen.execution.id}: {step} waits, and no entry says so"
    for wait in seen.waits:
        if wait.status in {WaitStatus.SETTLED, WaitStatus.TAKEN}:
            assert wait.answers
            assert wait.settled_at is not None
        if wait.kind == WaitKind.APPROVAL:
            people = [answer.by for answer in wait.answers if answer.cause == Cause.PERSON]
            assert len(people) == len(set(people)), f"{wait.step}: somebody counted twice"
        if wait.status == WaitStatus.TAKEN and not _is_delay(seen, wait):
            _check_taken(seen, wait)
    opened = Counter(wait.step for wait in seen.open_waits)
    assert not [step for step, count in opened.items() if count > 1], "two waits at one place"


def _check_taken(seen: Seen, wait: Wait) -> None:
    """Assert that something came of an answer, and that the step was told what was answered."""
    answer = wait.answers[-1]
    came = [entry for entry in seen.entries if entry.step_id == wait.step]
    came = [entry for entry in came if entry.timestamp > (wait.settled_at or entry.timestamp)]
    assert came, f"{seen.execution.id}: nothing came of the answer to {wait.step}"
    done = [entry.output for entry in came if entry.action == EntryAction.COMPLETED]
    match wait.kind:
        case WaitKind.HALT:
            assert answer.response in done
        case WaitKind.EVENT if answer.cause != Cause.TIMEOUT:
            assert answer.response in done
        case WaitKind.APPROVAL if answer.approved:
            assert answer.by in [output["by"] for output in done]


def _is_halt(seen: Seen, wait: Wait) -> bool:
    return wait.kind != WaitKind.RETRY and not _is_delay(seen, wait)


def _is_delay(seen: Seen, wait: Wait) -> bool:
    """Say whether it is the wait of an execution that was to begin later."""
    first = registry[seen.execution.workflow_id].graph.first
    return wait is seen.waits[0] and wait.kind == WaitKind.TIMER and wait.step == first


def _entries(seen: Seen, *actions: EntryAction) -> Iterator[Entry]:
    return (entry for entry in seen.entries if entry.action in actions)


def check_visits(seen: Seen) -> None:
    """Assert that a step completes once a visit, until somebody has it run again by hand."""
    done: set[str] = set()
    for entry in seen.entries:
        if is_by_hand(entry):
            done.clear()
        elif entry.action == EntryAction.COMPLETED:
            path = entry.step_id
            assert path not in done, f"{seen.execution.id}: {path} was done twice"
            done.add(path)


def check_variables(seen: Seen) -> None:
    """Assert that the variables are what the entries say that the steps have set."""
    definition = registry[seen.execution.workflow_id]
    said: dict[str, list[Any]] = {}
    for entry in seen.entries:
        for key, value in _set_by(entry, definition):
            said.setdefault(key, []).append(value)
    for key, value in seen.execution.ctx.items():
        is_given = definition.part_of is not None and key not in said
        if key not in _LENT and not is_given:
            assert value in said.get(key, []), f"{seen.execution.id}: no entry set {key}={value!r}"
    if seen.execution.status == ExecutionStatus.COMPLETED and definition.part_of is None:
        ctx = {key: value for key, value in seen.execution.ctx.items() if value is not None}
        assert folded(seen, definition) == ctx, f"{seen.execution.id}: history tells another end"


def folded(seen: Seen, definition: WorkflowDefinition) -> dict[str, Any]:
    """Return the variables that the entries add up to, but for those that are None."""
    ctx: dict[str, Any] = {}
    for entry in seen.entries:
        around = entry.step_id.split("/")[:-1]
        outer = ["/".join(around[:length]) for length in range(1, len(around) + 1)]
        # What a branch sets counts once the branches are joined, and then their step tells.
        if not any(isinstance(definition.step_at(path), Parallel) for path in outer):
            # A wait that ran out of time has no output, and no step here returns None.
            ctx |= {key: value for key, value in _set_by(entry, definition) if value is not None}
    return ctx


def _set_by(entry: Entry, definition: WorkflowDefinition) -> Iterator[tuple[str, Any]]:
    if entry.action == EntryAction.FORKED:
        yield from entry.output["ctx"].items()
    if entry.action not in {EntryAction.COMPLETED, EntryAction.SKIPPED}:
        return
    step = definition.step_at(entry.step_id)
    is_skipped = entry.action == EntryAction.SKIPPED
    yield from (entry.sets or {}).items()
    if step.output_key is not None:
        yield step.output_key, entry.output["output"] if is_skipped else entry.output
    elif not step.has_output and not is_skipped:
        yield from (entry.output or {}).items()


def check_result(seen: Seen) -> None:
    """Assert that a result is made of what the steps it names have returned: their paths."""
    result = seen.execution.result
    by_hand = any(is_by_hand(entry) or entry.action == "forked" for entry in seen.entries)
    for key, value in result.items() if isinstance(result, dict) else ():
        if value == "skipped" or (value is None and by_hand):
            continue
        step = plain_path(value).rpartition("/")[2]
        assert step == _RETURNED_BY.get(key, key), f"{seen.execution.id}: {key} is {value!r}"


#: Variables that are not named after the step whose output they are.
_RETURNED_BY = {"seen": "first", "kid": "ended"}


def check_compensations(seen: Seen) -> None:
    """Assert that what completed is undone in reverse, each of it once, and only on failure."""
    left = _to_undo(seen)
    stored = [undo.step for undo in seen.execution.compensations]
    assert stored == left, f"{seen.execution.id}: of {left} it would undo {stored}"
    if seen.execution.status == ExecutionStatus.FAILED:
        assert left == [], f"{seen.execution.id} failed, and {left} are not undone"


def _to_undo(seen: Seen) -> list[str]:
    """Return the steps that the history leaves to be undone, should the execution fail now."""
    definition = registry[seen.execution.workflow_id]
    left: list[str] = []
    for entry in seen.entries:
        undone = entry.step_id.partition(":")[2]
        if undone:
            assert left[-1:] == [undone], f"{undone} was undone, and of {left} the last was due"
            if entry.action in {EntryAction.COMPENSATED, EntryAction.FAILED}:
                left.pop()
        elif entry.action == EntryAction.COMPLETED and definition.step_at(entry.step_id).compensate:
            left.append(entry.step_id)
    return left


def check_effects(seen: Seen, noted: Mapping[str, int]) -> None:
    """Assert that atomic effects happened exactly once a completion, others at least once."""
    definition = registry[seen.execution.workflow_id]
    done = Counter(entry.step_id for entry in _entries(seen, *DONE))
    for path, count in done.items():
        target, _, undone = path.partition(":")
        step = definition.undoing.steps[target] if undone else definition.step_at(path)
        key = f"{seen.execution.id}:{path}"
        if step.atomic:
            assert noted[key] == count, f"{key} completed {count} times, noted {noted[key]}"
        elif step.type == "call":
            assert world.calls[key] >= 1, f"{key} completed without its effect"
    ours = {key for key in noted if key.startswith(seen.execution.id)}
    planned = {f"{seen.execution.id}:{path}" for path in done}
    assert ours <= planned, f"atomic effects without an entry: {ours - planned}"

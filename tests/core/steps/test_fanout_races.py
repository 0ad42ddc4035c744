"""ForEach: who meets whom, in every order of commits."""

from dataclasses import replace

import pytest

from django_workflows.core import clock, control
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import Change
from django_workflows.core.engine import Engine
from django_workflows.core.engine.arriving import meet
from django_workflows.core.engine.chores import Chores
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.steps import Call, ForEach, Halt
from django_workflows.core.waits import WaitStatus
from tests.core.fanning import do_chores, ids, started, statuses
from tests.core.flows import engine_of, flow, history


def asking(**options):
    return flow("Parent", each=ForEach("$input.items", do=Halt("?", name="ask"), **options))


def working(**options):
    work = Call(lambda state: state.ctx["item"], name="x")
    return flow("Parent", each=ForEach("$input.items", do=work, **options))


def test_two_last_children_that_end_at_once_wake_the_parent_once(monkeypatch):
    engine, parent = started(working(), {"items": [1, 2]})
    left, woken = [], []
    # Both have committed before either looks at what the parent waits for.
    monkeypatch.setattr(Engine, "do_left", lambda self, drive, awaken=None: left.extend(drive.left))
    for child in ids(engine, parent):
        engine.sibling("parent/each").drive(child)
    chores = Chores(engine.store, woken.append, lambda *_, **__: None)

    chores.do(left)
    chores.do(left)

    assert [execution.id for execution in woken] == [parent]
    assert history(engine, parent, EntryAction.RESUMED) == ["each"]


def test_of_two_that_look_at_the_same_time_one_wakes_the_parent(monkeypatch):
    engine, parent = started(working(), {"items": [1]})
    with monkeypatch.context() as patched:
        patched.setattr(Engine, "do_left", lambda self, drive, awaken=None: None)
        engine.sibling("parent/each").drive(*ids(engine, parent))
    store, woken = engine.store, []
    look = store.children_state

    def look_later(execution_id, step):
        """The other comes in between the first one's look at the wait and its answer to it."""
        monkeypatch.setattr(store, "children_state", look)
        woken.append(meet(store, parent, lambda child: None))
        return look(execution_id, step)

    monkeypatch.setattr(store, "children_state", look_later)

    woken.append(meet(store, parent, lambda child: None))

    assert [execution and execution.id for execution in woken] == [parent, None]
    assert history(engine, parent, EntryAction.RESUMED) == ["each"]


def test_children_that_end_before_the_halt_is_written_are_found_by_it():
    engine = engine_of(working(concurrency=2))
    engine.awaken = lambda child: engine.sibling(child.workflow_id).drive(child.id)

    result = engine.run({"items": [1, 2, 3]})

    assert engine.result(result.execution_id).output == [1, 2, 3]
    assert history(engine, result.execution_id, EntryAction.RESUMED) == ["each"]


def test_child_whose_driver_died_before_it_looked_is_found_by_the_supervisor(monkeypatch):
    engine, parent = started(working(), {"items": [1]})
    monkeypatch.setattr(Engine, "do_left", lambda self, drive, awaken=None: None)
    (child,) = ids(engine, parent)
    engine.sibling("parent/each").drive(child)
    woken = []

    do_chores(engine, woken.append)

    assert [execution.id for execution in woken] == [parent]


def test_parent_that_died_before_it_looked_is_woken_by_the_supervisor(monkeypatch):
    engine = engine_of(working(concurrency=1))
    engine.awaken = lambda child: engine.sibling(child.workflow_id).drive(child.id)
    execution = engine.create({"items": [1, 2]})
    with monkeypatch.context() as patched:
        patched.setattr(Engine, "do_left", lambda self, drive, awaken=None: None)
        engine.drive(execution.id)

    do_chores(engine, engine.awaken)

    assert engine.result(execution.id).output == [1, 2]


# Cancelling -------------------------------------------------------------------------------------


def cancel_children(engine, parent, target="each"):
    """Leave what a process that died has left, and let the supervisor find it."""
    chore = Chore(kind=ChoreKind.CANCEL_CHILDREN, execution_id=parent, target=target)
    engine.store.transition(parent, lambda stored, _: Change(execution=stored, chores=[chore]))
    do_chores(engine)
    return [found.id for found in engine.store.chores(clock.now().replace(year=2999))] == [chore.id]


@pytest.mark.parametrize("target", ["each", ""])
def test_children_that_the_parent_waits_for_again_are_left_alone(target):
    engine, parent = started(asking(), {"items": [1, 2]})

    is_left = cancel_children(engine, parent, target)

    assert not is_left
    assert statuses(engine, parent) == ["pending", "pending"]


@pytest.mark.parametrize("target", ["each", ""])
def test_children_of_a_parent_that_is_driven_are_looked_at_later(target):
    engine, parent = started(asking(), {"items": [1, 2]})
    stored = engine.store.load(parent)
    engine.store.transition(parent, lambda now, waits: Change(execution=_running(now)))

    is_left = cancel_children(engine, parent, target)

    assert is_left
    assert statuses(engine, parent) == ["pending", "pending"]
    engine.store.save(stored)


def _running(execution):
    return replace(execution, status=ExecutionStatus.RUNNING)


def test_children_of_another_step_are_cancelled():
    engine, parent = started(asking(), {"items": [1, 2]})
    engine.store.transition(parent, _withdrawn)

    is_left = cancel_children(engine, parent)

    assert not is_left
    assert statuses(engine, parent) == ["cancelled", "cancelled"]


def _withdrawn(execution, waits):
    closed = [replace(wait, status=WaitStatus.WITHDRAWN) for wait in waits]
    return Change(execution=execution, waits=closed)


def test_parent_that_is_driven_again_while_its_children_are_cancelled_gets_new_ones():
    engine, parent = started(asking(), {"items": [1, 2]})
    old = ids(engine, parent)
    store = engine.store
    store.transition(parent, control.cancel("stop", None))
    store.transition(
        parent,
        control.retry(engine.definition, from_step=None, input=None, by=None, history=[]),
    )
    engine.drive(parent)

    do_chores(engine)  # what the cancelling left

    assert not {*ids(engine, parent)} & {*old}
    assert statuses(engine, parent) == ["pending", "pending"]
    assert [str(store.load(child).status) for child in old] == ["cancelled", "cancelled"]


def test_children_are_not_written_for_a_parent_that_was_cancelled(monkeypatch):
    monkeypatch.setattr("django_workflows.core.engine.fanning.BATCH", 1)
    engine = engine_of(asking())
    execution = engine.create({"items": [1, 2, 3]})
    engine.awaken = lambda child: engine.store.transition(
        execution.id, control.cancel("stop", None)
    )

    engine.drive(execution.id)
    do_chores(engine)

    assert engine.result(execution.id).error == "Cancelled: stop"
    assert statuses(engine, execution.id) == ["cancelled"]

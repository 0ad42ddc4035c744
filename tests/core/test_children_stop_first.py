"""Children that a step leaves behind stop before what comes after it, or undoes it, begins."""

from dataclasses import replace
from threading import Event

import pytest
from django.db.models import F

from django_workflows.core import clock
from django_workflows.core.engine.orphans import MOST_CHILDREN
from django_workflows.core.steps import Assign, Call, End, ForEach, Halt, Loop, Parallel
from django_workflows.core.waits import Answer
from django_workflows.exceptions import StoreUnavailable
from django_workflows.stores.memory import MemoryStore
from tests.core.fanning import all_chores, children_of, do_chores, ids, started, statuses
from tests.core.flows import Crash, engine_of, flow, history
from tests.core.test_unwanted_children import Dying
from tests.stores.contract.records import MINUTE

MANY = 2 * MOST_CHILDREN + 50


class Seen:
    """Keeps what has become of the children by the time that it is called."""

    def __init__(self, step="each"):
        self.step = step
        self.statuses = []

    def __call__(self, state):
        self.statuses = statuses(self.engine, state.execution_id, self.step)


def failing_first(state):
    if state.ctx["index"] == 0:
        raise ValueError("bad")


def fail_one(engine, parent, step="each"):
    """Let the first child fail, and drive the parent on."""
    child = children_of(engine, parent, step)[0]
    engine.sibling(child.workflow_id).drive(child.id)
    engine.drive(parent)


def each(items=3, **options):
    return ForEach([1] * items, do=Call(failing_first, name="work"), **options)


def test_on_error_begins_after_the_last_child_has_been_cancelled():
    seen = Seen()
    workflow = flow(
        "Parent", each=each(MANY, on_error="told"), never=End(), told=Call(seen), over=Halt("?")
    )
    seen.engine, parent = started(workflow)

    fail_one(seen.engine, parent)

    assert seen.statuses == ["failed"] + ["cancelled"] * (MANY - 1)
    assert all_chores(seen.engine) == []


def test_on_error_of_distributed_branches_begins_after_the_others_were_cancelled():
    seen = Seen("both")
    branches = {"left": Call(lambda state: 1 / 0, name="x"), "right": Halt("?", name="y")}
    workflow = flow(
        "Parent",
        both=Parallel(branches, distributed=True, on_error="told"),
        never=End(),
        told=Call(seen),
        over=Halt("?"),
    )
    seen.engine, parent = started(workflow)

    fail_one(seen.engine, parent, "both")

    assert seen.statuses == ["failed", "cancelled"]


def test_on_error_further_out_begins_after_the_others_were_cancelled():
    seen = Seen("rounds[0]/each")
    workflow = flow(
        "Parent",
        rounds=Loop(over=["a"], as_="round", do=each(name="each"), on_error="told"),
        never=End(),
        told=Call(seen),
        over=Halt("?"),
    )
    seen.engine, parent = started(workflow)

    fail_one(seen.engine, parent, "rounds[0]/each")

    assert seen.statuses == ["failed", "cancelled", "cancelled"]


def test_on_error_in_one_branch_leaves_the_children_of_another_alone():
    seen = Seen("both/left/each")
    branches = {
        "left": [
            each(name="each", on_error="told"),
            Assign(a=1, name="a"),
            Call(seen, name="told"),
        ],
        "right": each(name="each"),
    }
    seen.engine, parent = started(flow("Parent", both=Parallel(branches)))

    fail_one(seen.engine, parent, "both/left/each")

    assert seen.statuses == ["failed", "cancelled", "cancelled"]
    assert statuses(seen.engine, parent, "both/right/each") == ["pending"] * 3


class Meeting(MemoryStore):
    """Its first child is not cancelled before its parent has written something else."""

    def __init__(self):
        super().__init__()
        self.cancelling, self.written, self.met = Event(), Event(), []

    def transition(self, execution_id, decide):
        if self.armed and self.load(execution_id).parent is not None:
            self.cancelling.set()
            self.met.append(self.written.wait(10))
        return super().transition(execution_id, decide)

    armed = False

    def checkpoint(self, *given, **more):
        super().checkpoint(*given, **more)
        if self.cancelling.is_set():
            self.written.set()


def test_other_branches_write_while_children_are_cancelled():
    store = Meeting()
    branches = {
        "left": [each(name="each", on_error="told"), Assign(a=1, name="a"), Assign(name="told")],
        "right": [Halt("?", name="ask"), Call(lambda state: store.cancelling.wait(10), name="x")],
    }
    engine = engine_of(flow("Parent", both=Parallel(branches)), store=store)
    engine.awaken = lambda woken: None
    parent = engine.create().id
    engine.drive(parent)
    engine.store.settle(parent, "both/right/ask", Answer())
    child = ids(engine, parent, "both/left/each")[0]
    engine.sibling("parent/both/left/each").drive(child)
    store.armed = True

    engine.drive(parent)

    assert store.met == [True, True]


def test_children_of_a_step_are_cancelled_before_what_they_build_on_is_undone():
    seen = Seen()
    workflow = flow(
        "Parent",
        book=Call(lambda state: None, compensate="unbook"),
        each=each(MANY),
        over=End(),
        unbook=Call(seen),
    )
    seen.engine, parent = started(workflow)

    fail_one(seen.engine, parent)

    assert seen.statuses == ["failed"] + ["cancelled"] * (MANY - 1)


def handled(store):
    """Return an engine whose parent is about to take up an item that failed, and its id."""
    workflow = flow(
        "Parent",
        each=each(on_error="told"),
        never=End(),
        told=Call(lambda state: state.ctx["_last_error"]["class"]),
        over=End(result=F("told")),
    )
    engine = engine_of(workflow, store=store)
    engine.awaken = lambda woken: None
    parent = engine.create().id
    engine.drive(parent)
    child = ids(engine, parent)[0]
    engine.sibling("parent/each").drive(child)
    return engine, parent


def test_driver_that_dies_before_on_error_leaves_its_children_to_a_supervisor():
    engine, parent = handled(Dying())
    engine.store.at = 2
    with pytest.raises(Crash):
        engine.drive(parent)
    assert sorted(statuses(engine, parent)) == ["cancelled", "failed", "pending"]
    engine.store.save(replace(engine.store.load(parent), lease_expires_at=clock.now() - MINUTE))

    result = engine.drive(parent)
    do_chores(engine)

    assert result.output == "ItemsFailed"
    assert statuses(engine, parent) == ["failed", "cancelled", "cancelled"]
    assert all_chores(engine) == []


class Away(Dying):
    """Does not answer when it is to cancel the ``at``-th child."""

    def transition(self, execution_id, decide):
        try:
            return super().transition(execution_id, decide)
        except Crash:
            raise StoreUnavailable("Away", "gone") from None


def test_store_that_goes_away_meanwhile_is_no_failure_of_the_step():
    engine, parent = handled(Away())
    engine.store.at = 1

    with pytest.raises(StoreUnavailable):
        engine.drive(parent)

    stored = engine.store.load(parent)
    assert (stored.status, stored.current_step) == ("running", "told")
    assert history(engine, parent, "failed") == ["each"]

"""Children that nobody waits for any more: all of them are ended, in time, and no others."""

from dataclasses import replace

import pytest

from django_workflows.core import clock
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import Change
from django_workflows.core.engine.chores import Chores
from django_workflows.core.engine.orphans import MOST_CHILDREN, end
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import Call, ForEach
from django_workflows.exceptions import InvalidTransition
from django_workflows.stores.memory import MemoryStore
from tests.core.fanning import all_chores, started
from tests.core.flows import Crash, flow
from tests.stores.contract.records import MINUTE, halted, make_child, make_execution

MANY = 2 * MOST_CHILDREN + 50

RUNNING, PENDING, HALTED = (
    ExecutionStatus.RUNNING,
    ExecutionStatus.PENDING,
    ExecutionStatus.HALTED,
)


def of_all(store, parent):
    """Return how many children there are of each status."""
    found = [str(child.status) for child in store.find(parent=parent, limit=10_000)]
    return {status: found.count(status) for status in sorted(set(found))}


def leave(store, parent, target=""):
    """Write what a process that died has left to do."""
    chore = Chore(kind=ChoreKind.CANCEL_CHILDREN, execution_id=parent, target=target)
    store.transition(parent, lambda stored, _: Change(execution=stored, chores=[chore]))
    return chore


def do(store, *chores, **options):
    """Do ``chores``; return the ids of the cancelled, in their order."""
    told = []

    def tell(name, execution, /, **data):
        told.append(execution.id)

    Chores(store, lambda woken: None, tell, **options).do(chores)
    return told


def left(store):
    return store.chores(clock.now().replace(year=2999))


def parent_at(store, *steps):
    """Store a parent that waits for the children of ``steps``."""
    return halted(
        store,
        *({"step": step, "kind": "child", "data": {"total": 1}} for step in steps),
        {"step": "ask", "kind": "halt"},
    )


def with_children(store, parent, *statuses, count=1, step="each"):
    """Store ``count`` children of each of ``statuses``; return them."""
    children = [
        make_child(parent, item, status=status, parent_step=step)
        for item, status in enumerate(status for status in statuses for _ in range(count))
    ]
    return store.create_children(parent.id, parent.fence, children)


# How many, and in which order ---------------------------------------------------------------------


def test_all_are_cancelled_at_once_however_many_there_are():
    work = Call(lambda state: state.ctx["item"], name="work")
    workflow = flow("Parent", each=ForEach("$input.items", do=work))
    engine, parent = started(workflow, {"items": [1] * MANY})

    _, chores = end(engine.store, parent, "stop", None, lambda *told: None)
    do(engine.store, *chores)

    assert of_all(engine.store, parent) == {"cancelled": MANY}
    assert all_chores(engine) == []


def test_those_that_run_are_cancelled_first_and_those_that_are_held_last():
    store = MemoryStore()
    parent = parent_at(store)
    children = with_children(store, parent, HALTED, PENDING, RUNNING, count=MOST_CHILDREN - 50)

    cancelled = do(store, leave(store, parent.id))

    was = {child.id: child.status for child in children}
    order = [was[child] for child in cancelled]
    assert order == sorted(order, key=[RUNNING, PENDING, HALTED].index)
    assert len(order) == 3 * (MOST_CHILDREN - 50)


class Dying(MemoryStore):
    """Its process is killed at the ``at``-th cancelled child."""

    at = 0

    def transition(self, execution_id, decide):
        if self.load(execution_id).parent is not None:
            self.at -= 1
            if self.at == 0:
                raise Crash
        return super().transition(execution_id, decide)


def test_process_that_dies_in_the_middle_leaves_the_rest_to_a_supervisor():
    store = Dying()
    parent = parent_at(store)
    with_children(store, parent, PENDING, count=MANY)
    chore, store.at = leave(store, parent.id), MOST_CHILDREN + 10
    with pytest.raises(Crash):
        do(store, chore)

    (found,) = left(store)
    do(store, found)

    assert of_all(store, parent.id) == {"cancelled": MANY}
    assert left(store) == []


class Clinging(MemoryStore):
    """Some of its children go on for a while whoever cancels them."""

    clinging = frozenset()

    def transition(self, execution_id, decide):
        if execution_id in self.clinging:
            raise InvalidTransition(execution_id, "pending", "cancel", "something else")
        return super().transition(execution_id, decide)


def test_children_that_go_on_for_a_while_keep_no_other_from_being_cancelled():
    store = Clinging()
    parent = parent_at(store)
    first = with_children(store, parent, RUNNING, count=MANY, step="one")
    with_children(store, parent, PENDING, count=MANY, step="two")
    store.clinging = frozenset(child.id for child in first)

    do(store, leave(store, parent.id))

    assert of_all(store, parent.id) == {"cancelled": MANY, "running": MANY}
    assert left(store) == []


class Moving(MemoryStore):
    """A child moves on right after one of the lists has been read."""

    moves = ()
    child = ""

    def execution_ids(self, workflow_id=None, status=None, limit=1000, **wanted):
        found = super().execution_ids(workflow_id, status, limit, **wanted)
        if self.moves and status == self.moves[0]:
            _, to = self.moves
            self.moves = ()
            self.save(replace(self.load(self.child), status=to))
        return found


@pytest.mark.parametrize(
    ("was", "read", "becomes"),
    [
        (PENDING, RUNNING, RUNNING),  # claimed, when those that run were read
        (PENDING, HALTED, RUNNING),
        (HALTED, PENDING, PENDING),  # had its turn, or its answer
        (HALTED, RUNNING, PENDING),
        (RUNNING, HALTED, HALTED),  # came to rest
        (RUNNING, PENDING, HALTED),
        (RUNNING, PENDING, PENDING),  # was given back
        (RUNNING, HALTED, PENDING),
    ],
)
def test_child_that_moves_on_while_lists_are_read_is_not_missed(was, read, becomes):
    store = Moving()
    parent = parent_at(store)
    (child,) = with_children(store, parent, was)
    chore = leave(store, parent.id)
    store.child, store.moves = child.id, (read, becomes)

    do(store, chore)

    assert not store.moves
    assert of_all(store, parent.id) == {"cancelled": 1}


# Which --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [HALTED, PENDING])
def test_children_of_a_step_that_is_waited_for_hide_no_older_ones(status):
    store = MemoryStore()
    parent = parent_at(store, "two")
    with_children(store, parent, status, count=MANY, step="each")
    with_children(store, parent, status, count=MANY, step="two")

    do(store, leave(store, parent.id))

    assert set(statuses_of(store, parent, "each")) == {"cancelled"}
    assert set(statuses_of(store, parent, "two")) == {str(status)}
    assert left(store) == []


def statuses_of(store, parent, step):
    return [str(child.status) for child in store.children(parent.id, step)]


@pytest.mark.parametrize("target", ["", "each"])
def test_child_of_no_step_is_unwanted_where_all_are_asked_for(target):
    store = MemoryStore()
    parent = parent_at(store, "two")
    with_children(store, parent, PENDING, step="each")
    (stray,) = with_children(store, parent, RUNNING, step=None)

    do(store, leave(store, parent.id, target))

    assert statuses_of(store, parent, "each") == ["cancelled"]
    assert store.load(stray.id).status == ("running" if target else "cancelled")


class Claimed(MemoryStore):
    """Its parent is claimed, starts children and waits for them while somebody looks at it."""

    meanwhile = staticmethod(lambda: None)

    def waits(self, execution_id, *, status=None):
        found = super().waits(execution_id, status=status)
        self.meanwhile()
        return found


def test_children_that_a_parent_has_started_meanwhile_are_left_alone():
    store = Claimed()
    parent = parent_at(store, "two")
    with_children(store, parent, PENDING, step="each")
    chore = leave(store, parent.id)

    def go_on():
        store.meanwhile = lambda: None
        store.save(replace(store.load(parent.id), status=PENDING))
        claimed = store.claim(parent.id, "worker", MINUTE)
        with_children(store, claimed, PENDING, step="three")

    store.meanwhile = go_on

    do(store, chore)

    assert of_all(store, parent.id) == {"pending": 2}
    assert left(store) == [chore]


# Of a parent that is driven -----------------------------------------------------------------------


def driven(store):
    """Store a parent that is driven and its two children, as after a step that failed."""
    parent = store.create(make_execution())
    claimed = store.claim(parent.id, "worker", MINUTE)
    with_children(store, claimed, PENDING, RUNNING)
    return claimed


def test_driver_itself_has_children_of_a_step_cancelled():
    store = MemoryStore()
    claimed = driven(store)

    do(store, leave(store, claimed.id, "each"), driven=claimed)

    assert of_all(store, claimed.id) == {"cancelled": 2}
    assert left(store) == []


def test_driver_itself_does_not_know_of_all_steps():
    store = MemoryStore()
    claimed = driven(store)
    chore = leave(store, claimed.id)

    do(store, chore, driven=claimed)

    assert of_all(store, claimed.id) == {"pending": 1, "running": 1}
    assert left(store) == [chore]


def test_driver_that_was_replaced_knows_nothing():
    store = MemoryStore()
    claimed = driven(store)
    chore = leave(store, claimed.id, "each")
    store.save(replace(claimed, status=PENDING))
    store.claim(claimed.id, "another", MINUTE)

    do(store, chore, driven=claimed)

    assert of_all(store, claimed.id) == {"pending": 1, "running": 1}
    assert left(store) == [chore]


def test_driver_of_another_execution_knows_nothing():
    store = MemoryStore()
    claimed = driven(store)
    chore = leave(store, claimed.id, "each")

    do(store, chore, driven=make_execution(fence=claimed.fence))

    assert left(store) == [chore]

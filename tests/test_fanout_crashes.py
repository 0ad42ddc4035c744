"""Fan-outs, killed at every boundary: no item is lost or done twice, no child is left over."""

from functools import partial

import pytest

from django_workflows import registry
from django_workflows.core import clock
from django_workflows.core.chores import GRACE
from django_workflows.core.engine.chores import Chores
from django_workflows.core.ids import new_id
from django_workflows.steps import Call
from django_workflows.stores.memory import MemoryStore
from django_workflows.stores.orm import OrmStore
from django_workflows.testing import assert_crash_safe
from django_workflows.testing.crashing import Fuse, _run
from django_workflows.testing.driving import yes
from tests import kinds

#: More rounds of chores than any of these workflows leaves.
MOST_ROUNDS = 10


@pytest.fixture
def children():
    """Register the workflows that others run as children, and forget them again."""
    added = []

    def add(name, steps):
        registry.add(name, kinds.workflow(name, steps).definition)
        added.append(name)

    add("crash_grandchild", {"only": Call(kinds.effect)})
    yield add
    for name in added:
        registry.remove(name)


def kept_effects():
    return sorted(set(kinds.effects))


def live(store, execution_id):
    """Return ids of what is still under way below an execution."""
    found = []
    for child in store.find(parent=execution_id):
        found += live(store, child.id) + ([] if child.status.is_final else [child.id])
    return found


def ended(store, execution_id, *, with_effects):
    """Return how an execution ended, once a supervisor has done what was left to do."""
    for _ in range(MOST_ROUNDS):
        clock.travel(2 * GRACE)
        Chores(store, lambda *_: None, lambda *_, **__: None).do(store.chores(clock.now()))
    execution = store.load(execution_id)
    seen = {"status": execution.status, "result": execution.result, "error": execution.error}
    seen |= {"ctx": execution.ctx, "under way": live(store, execution_id)}
    return seen | ({"effects": kept_effects()} if with_effects else {})


def killed_everywhere(workflow, *, store=MemoryStore, with_effects=True):
    """Run once for each boundary, killed there and recovered; return how the first run ended."""
    execution_id, points = new_id(), Fuse()

    def run(fuse):
        kinds.effects.clear()
        return _run(
            workflow.definition,
            None,
            execution_id=execution_id,
            store=store(),
            respond=yes,
            fuse=fuse,
            look=partial(ended, with_effects=with_effects),
        )

    undisturbed = run(points)
    for number, point in enumerate(points.points):
        assert run(Fuse(blow_at=number)) == undisturbed, f"killed at {number}, {point}"
    assert {"before create_children", "after suspend"} <= set(points.points)
    return undisturbed


@pytest.mark.parametrize("place", ["plain", "in a loop"])
@pytest.mark.parametrize("kind", kinds.FAN_OUTS)
def test_history_is_that_of_an_undisturbed_run(kind, place, children):
    workflow = kinds.workflow("crash_fanout", kinds.PLACES[place](kinds.FAN_OUTS[kind]()))

    report = assert_crash_safe(workflow, before=kinds.effects.clear, effects=kept_effects)

    assert report.undisturbed["status"] == "completed"


@pytest.mark.parametrize("place", ["in a branch", "in a child", "in an item"])
@pytest.mark.parametrize("kind", kinds.FAN_OUTS)
def test_end_is_that_of_an_undisturbed_run(kind, place, children):
    children("crash_child", kinds.plain(kinds.FAN_OUTS[kind]()))
    workflow = kinds.workflow("crash_fanout", kinds.PLACES[place](kinds.FAN_OUTS[kind]()))

    undisturbed = killed_everywhere(workflow)

    assert undisturbed["status"] == "completed"
    assert undisturbed["under way"] == []


@pytest.mark.parametrize("place", kinds.PLACES)
@pytest.mark.parametrize("kind", kinds.CUT_SHORT)
def test_nothing_is_left_over_where_it_ends_before_its_children(kind, place, children):
    children("crash_child", kinds.plain(kinds.CUT_SHORT[kind]()))
    workflow = kinds.workflow("crash_fanout", kinds.PLACES[place](kinds.CUT_SHORT[kind]()))

    undisturbed = killed_everywhere(workflow, with_effects=False)

    assert undisturbed["status"] == "completed"
    assert undisturbed["under way"] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["for each", "for each in turn", "parallel distributed"])
def test_end_is_the_same_on_the_database(kind, children):
    workflow = kinds.workflow("crash_fanout", kinds.plain(kinds.FAN_OUTS[kind]()))

    assert killed_everywhere(workflow, store=OrmStore)["under way"] == []

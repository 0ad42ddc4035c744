"""Each step kind, in each place, killed at every boundary: the run must end as if undisturbed."""

from dataclasses import replace

import pytest
from django.contrib.auth.models import Group

from django_workflows import F, Retry, registry
from django_workflows.core import clock
from django_workflows.steps import Assign, Call, Loop
from django_workflows.stores.memory import MemoryStore
from django_workflows.stores.orm import OrmStore
from django_workflows.testing import SimulatedCrash, assert_crash_safe
from tests import kinds


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
    """What remains of the effects where the world heeds idempotency keys."""
    return sorted(set(kinds.effects))


@pytest.mark.parametrize("place", kinds.PLACES)
@pytest.mark.parametrize("kind", kinds.KINDS)
def test_kind_in_place_survives_a_kill_at_every_boundary(kind, place, children):
    steps = kinds.KINDS[kind]()
    children("crash_child", kinds.plain(kinds.KINDS[kind]()))
    workflow = kinds.workflow("crash_parent", kinds.PLACES[place](steps))

    report = assert_crash_safe(workflow, before=kinds.effects.clear, effects=kept_effects)

    assert report.undisturbed["status"] == "completed"
    assert {"before step first", "before checkpoint", "after checkpoint"} <= set(report.points)


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_kind_survives_it_that_is_written_at_rests_alone(kind, children):
    steps = kinds.KINDS[kind]()
    children("crash_child", kinds.plain(kinds.KINDS[kind]()))
    workflow = kinds.workflow("crash_parent", kinds.plain(steps))

    report = assert_crash_safe(
        replace(workflow.definition, durability="halt"),
        before=kinds.effects.clear,
        effects=kept_effects,
    )

    assert report.undisturbed["status"] == "completed"


def test_failure_with_compensations_survives_a_kill_at_every_boundary():
    workflow = kinds.workflow(
        "crash_compensated",
        {
            "book": Call(kinds.effect, compensate="unbook"),
            "each": Loop(over=[1, 2], do=Call(kinds.effect, name="reserve", compensate="release")),
            "fail": Call(kinds.broken),
            "unbook": Call(kinds.flaky, retry=Retry(attempts=2, delay=60)),
            "release": Call(lambda state: kinds.effect(state) and state.ctx["item"]),
        },
    )

    report = assert_crash_safe(workflow, before=kinds.effects.clear, effects=kept_effects)

    undone = [line[0] for line in report.undisturbed["history"] if line[2] == "compensated"]
    assert report.undisturbed["status"] == "failed"
    assert undone == ["release:each[1]/reserve", "release:each[0]/reserve", "unbook:book"]


def test_compensation_that_fails_for_good_is_reported_whatever_kills_it():
    workflow = kinds.workflow(
        "crash_not_undone",
        {
            "book": Call(kinds.effect, compensate="unbook"),
            "pay": Call(kinds.effect, compensate="refund"),
            "fail": Call(kinds.broken),
            "unbook": Call(kinds.broken),
            "refund": Call(kinds.effect),
        },
    )

    report = assert_crash_safe(workflow, before=kinds.effects.clear, effects=kept_effects)

    assert report.undisturbed["error"] == (
        "ValueError: broken (and 'book' could not be undone: ValueError: broken)"
    )


def add_group(state):
    """An effect that cannot happen twice unnoticed: the name is unique."""
    return Group.objects.create(name=state.idempotency_key).name


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("place", [kinds.plain, kinds.in_a_loop, kinds.in_a_branch])
def test_atomic_effect_happens_exactly_once(place):
    steps = [Call(add_group, name="add", atomic=True)]
    workflow = kinds.workflow("crash_atomic", place(steps))

    report = assert_crash_safe(
        workflow,
        store=OrmStore,
        before=Group.objects.all().delete,
        effects=lambda: sorted(Group.objects.values_list("name", flat=True)),
    )

    # A second row under the same name would have failed the step, and so the comparison.
    assert report.undisturbed["status"] == "completed"
    assert report.undisturbed["effects"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "kind", ["call", "loop over", "parallel that halts", "approval", "sleep", "sub-workflow"]
)
def test_kind_survives_on_the_database(kind, children):
    workflow = kinds.workflow("crash_orm", kinds.in_a_branch(kinds.KINDS[kind]()))

    report = assert_crash_safe(
        workflow, store=OrmStore, before=kinds.effects.clear, effects=kept_effects
    )

    assert report.undisturbed["status"] == "completed"


def add_numbered_group(state):
    """Return what no two runs agree on: a number from a sequence."""
    return Group.objects.create(name=state.idempotency_key).pk


@pytest.mark.django_db(transaction=True)
def test_primary_keys_may_be_ignored():
    steps = {"add": Call(add_numbered_group, atomic=True), "last": Call(kinds.effect)}
    workflow = kinds.workflow("crash_numbered", steps)

    report = assert_crash_safe(
        workflow, store=OrmStore, before=Group.objects.all().delete, ignore=["add"]
    )

    assert report.undisturbed["ctx"]["add"] == "int"
    assert report.undisturbed["history"][0][3] == "int"


def test_workflow_that_is_not_crash_safe_is_told_where():
    counted = []

    def count(state):
        counted.append(1)
        return len(counted)

    workflow = kinds.workflow("crash_unsafe", {"count": Call(count), "keep": Assign(n=F("count"))})

    with pytest.raises(AssertionError, match=r"Killed at point \d+ of \d+, before checkpoint: ctx"):
        assert_crash_safe(workflow, before=counted.clear)


def test_clock_is_real_again_afterwards():
    workflow = kinds.workflow("crash_clock", kinds.plain(kinds.KINDS["sleep"]()))
    before = clock.now()

    assert_crash_safe(workflow, before=kinds.effects.clear)

    assert (clock.now() - before).total_seconds() < 60


def test_simulated_crash_is_out_of_reach_of_handlers():
    assert not issubclass(SimulatedCrash, Exception)
    assert MemoryStore().find() == []

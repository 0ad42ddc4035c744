"""R12: children over the whole fleet, under kills: each join fires once, and no item is lost."""

import time

from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.models import WorkflowEntry, WorkflowExecution
from tests.crash.invariants import assert_invariants, patience
from tests.crash.ledger.models import Effect
from tests.crash.ledger.workflows import FanOut
from tests.crash.waiting import abandoned, wait_for_ends

#: A child and its own, see Deep.
GENERATIONS = 3


def test_fan_outs_under_kills(adapter, fleet, is_long, figures, seed):
    parents, items, kills = (100, 100, 100) if is_long else (6, 30, 10)
    bad = [number for number in range(items) if number % 10 == 3]
    started = [FanOut.start(items=items, bad=3) for _ in range(parents)]
    children = parents * (items + 2 + GENERATIONS)
    workers = fleet("worker", size=4)
    began = time.monotonic()

    while workers.kills < kills and wait_for_ends(parents + children, 0) < parents + children:
        workers.kill_one()
        time.sleep(workers.random.uniform(0.1, 0.8))
    ended = wait_for_ends(parents + children, 900 if is_long else 150)

    assert ended == parents + children
    time.sleep(patience())
    assert_invariants()
    good = [None if number in bad else 2 * number for number in range(items)]
    for parent in WorkflowExecution.objects.filter(id__in=[one.id for one in started]):
        assert parent.status == ExecutionStatus.COMPLETED
        assert parent.result["each"]["results"] == good
        assert [error["index"] for error in parent.result["each"]["errors"]] == bad
        assert set(parent.result["apart"]) == {"left", "right"}
    resumed = WorkflowEntry.objects.filter(
        execution__in=[one.id for one in started], action=EntryAction.RESUMED, step_type="child"
    )
    assert resumed.filter(step_id="each").count() == parents
    assert resumed.filter(step_id="apart").count() == parents
    assert Effect.objects.count() == parents * (items - len(bad) + 2 + GENERATIONS + 1)
    figures(
        parents=parents,
        children=children,
        kills=workers.kills,
        hits=workers.hits,
        recovered=abandoned(),
        seconds=time.monotonic() - began,
        seed=seed,
    )
    assert workers.kills == kills
    assert workers.hits >= 0.9 * kills


def test_ten_thousand_items(fleet, is_long, figures):
    items = 10_000 if is_long else 500
    FanOut.start(items=items)
    workers = fleet("worker", "--threads", "2", size=2)
    began = time.monotonic()

    ended = wait_for_ends(items + 2 + GENERATIONS + 1, 1200 if is_long else 120)

    assert ended == items + 2 + GENERATIONS + 1
    (parent,) = WorkflowExecution.objects.filter(workflow_id="fan_out")
    assert parent.result["each"]["results"] == [2 * number for number in range(items)]
    assert_invariants()
    assert Effect.objects.count() == items + 2 + GENERATIONS + 1
    figures(items=items, seconds=time.monotonic() - began)
    assert set(workers.stop()) == {0}

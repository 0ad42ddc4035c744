"""cancel(compensate=True): what was done is undone first; and what a cancellation cannot undo."""

import pytest

from django_workflows import Retry, api, cancel, explain, retry, run, wiring
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.exceptions import InvalidTransition
from django_workflows.signals import workflow_finished
from django_workflows.steps import Call, End, ForEach, Halt, SubWorkflow
from django_workflows.supervisor import sweep

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ledger():
    return []


@pytest.fixture
def paying(registered, ledger):
    """charge, reserve, then a question; refund and release are their compensations."""

    def says(word):
        return Call(lambda: ledger.append(word))

    return registered(
        "paying",
        charge=Call(lambda: ledger.append("charge"), compensate="refund"),
        reserve=Call(lambda: ledger.append("reserve"), compensate="release"),
        ask=Halt("Go on?"),
        end=End(),
        refund=says("refund"),
        release=says("release"),
    )


def test_what_was_done_is_undone_in_reverse(paying, ledger):
    halted = run(paying)

    cancel(halted.execution_id, "out of stock", by="ada", compensate=True)

    execution = api.get(halted.execution_id)
    assert ledger == ["charge", "reserve", "release", "refund"]
    assert execution.status == ExecutionStatus.CANCELLED
    assert execution.error == "Cancelled: out of stock"
    assert execution.finished_at is not None
    assert execution.lease_owner is None
    actions = [entry.action for entry in wiring.store().entries(execution.id)]
    assert actions[-3:] == [
        EntryAction.CANCELLED,
        EntryAction.COMPENSATED,
        EntryAction.COMPENSATED,
    ]


def test_a_plain_cancel_undoes_nothing(paying, ledger):
    cancel(run(paying).execution_id)

    assert ledger == ["charge", "reserve"]


def test_where_nothing_is_to_be_undone_it_ends_at_once(registered):
    halted = run(registered("asking", ask=Halt("Well?")))

    cancelled = cancel(halted.execution_id, compensate=True)

    assert cancelled.status == ExecutionStatus.CANCELLED


def test_it_is_told_as_cancelled_and_once(paying):
    told = []

    def tell(sender, event, **_):
        told.append(event.name)

    workflow_finished.connect(tell)
    cancel(run(paying).execution_id, compensate=True)

    assert told == ["workflow.cancelled"]


def test_it_is_retried_only_from_a_step_that_is_named(paying, ledger):
    halted = run(paying)
    cancel(halted.execution_id, compensate=True)

    with pytest.raises(InvalidTransition, match="told from_step="):
        retry(halted.execution_id)
    retry(halted.execution_id, from_step="charge")

    assert ledger[-2:] == ["charge", "reserve"]
    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED


def test_parent_is_told_once_its_child_is_undone(registered, paying, ledger):
    parent = registered(
        "parent", kid=SubWorkflow("paying", on_error="rescue"), end=End(), rescue=Call(lambda: 1)
    )
    halted = run(parent)

    cancel(halted.waits[0].key, compensate=True)

    assert ledger[-1] == "refund"
    assert api.get(halted.execution_id).status == ExecutionStatus.COMPLETED


def test_children_are_undone_as_well(registered, paying, ledger):
    halted = run(registered("parent", kids=ForEach(over=[1, 2, 3], do=SubWorkflow("paying"))))

    cancel(halted.execution_id, compensate=True)

    assert ledger.count("refund") == ledger.count("release") == 3
    everything = wiring.store().find()
    assert {one.status for one in everything} == {ExecutionStatus.CANCELLED}


def test_one_that_pauses_in_its_undoing_names_what_is_left(registered, ledger):
    def broken():
        raise ValueError("bank is closed")

    def fail():
        raise ValueError("no")

    failing = registered(
        "failing",
        charge=Call(lambda: 1, compensate="refund"),
        reserve=Call(lambda: 1, compensate="release"),
        work=Call(fail),
        end=End(),
        refund=Call(lambda: ledger.append("refund")),
        release=Call(broken, retry=Retry(attempts=9, delay=60)),
    )
    halted = run(failing)
    assert halted.status == ExecutionStatus.HALTED

    with pytest.raises(InvalidTransition, match="being undone"):
        cancel(halted.execution_id, compensate=True)
    cancelled = cancel(halted.execution_id, "by hand")

    assert cancelled.status == ExecutionStatus.CANCELLED
    assert cancelled.error == (
        "ValueError: no (Cancelled: by hand; not undone: 'reserve', 'charge')"
    )
    entry = wiring.store().entries(cancelled.id)[-1]
    assert entry.output["not_undone"] == ["reserve", "charge"]


def test_a_pause_in_its_undoing_ends_as_cancelled(registered, ledger, travel):
    broken = [True]

    def release():
        if broken:
            raise ValueError("closed")
        ledger.append("release")

    asking = registered(
        "asking",
        reserve=Call(lambda: 1, compensate="release"),
        ask=Halt("Well?"),
        end=End(),
        release=Call(release, retry=Retry(attempts=9, delay=60)),
    )
    halted = run(asking)
    cancel(halted.execution_id, compensate=True)
    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED

    broken.clear()
    travel(61)
    sweep()

    assert ledger == ["release"]
    assert api.get(halted.execution_id).status == ExecutionStatus.CANCELLED


def test_until_a_worker_comes_it_is_explained(paying, settings):
    halted = run(paying)
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.SilentBell"}}

    pending = cancel(halted.execution_id, "out of stock", compensate=True)

    assert pending.status == ExecutionStatus.PENDING
    assert explain(pending.id).startswith(
        "to undo its completed steps after Cancelled: out of stock, since"
    )

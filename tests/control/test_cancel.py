"""cancel: an end by hand, for an execution and its children."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections

from django_workflows import api, cancel, run, wiring
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.waits import WaitStatus
from django_workflows.exceptions import InvalidTransition
from django_workflows.steps import (
    Call,
    End,
    Halt,
    SubWorkflow,
)

pytestmark = pytest.mark.django_db(transaction=True)


def actions(execution_id):
    return [entry.action for entry in wiring.store().entries(execution_id)]


def last_entry(execution_id):
    return wiring.store().entries(execution_id)[-1]


def test_halted_execution_is_cancelled(reviewed):
    halted = run(reviewed)

    cancelled = cancel(halted.execution_id, "changed my mind", by=User(username="alice"))

    assert cancelled == api.get(halted.execution_id)
    assert cancelled.status == ExecutionStatus.CANCELLED
    assert cancelled.error == "Cancelled: changed my mind"
    assert cancelled.finished_at is not None
    entry = last_entry(cancelled.id)
    assert (entry.action, entry.by) == (EntryAction.CANCELLED, "alice")
    assert [wait.status for wait in wiring.store().waits(cancelled.id)] == [WaitStatus.WITHDRAWN]


def test_cancel_needs_no_reason(reviewed):
    assert cancel(run(reviewed).execution_id).error == "Cancelled: no reason given"


def test_execution_is_cancelled_once(reviewed):
    cancelled = cancel(run(reviewed).execution_id)

    with pytest.raises(InvalidTransition, match=r"is cancelled; cancel needs .* still under way"):
        cancel(cancelled.id)


def test_driver_of_a_cancelled_execution_stops_at_its_next_checkpoint(registered):
    passed = []

    def work(state):
        cancel(state.execution_id, "in between")
        return "unheard"

    result = run(registered("interrupted", work=Call(work), after=Call(passed.append)))

    assert result.status == ExecutionStatus.CANCELLED
    assert passed == []
    assert actions(result.execution_id) == [EntryAction.CANCELLED]


def test_atomic_work_under_way_is_undone_by_a_cancel(registered):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer: the cancel waits for the step")

    def elsewhere(execution_id):
        try:
            cancel(execution_id)
        finally:
            connections.close_all()

    def work(state):
        User.objects.create_user("made")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(elsewhere, state.execution_id).result()

    result = run(registered("undone", work=Call(work, atomic=True)))

    assert result.status == ExecutionStatus.CANCELLED
    assert not User.objects.exists()


def test_cancel_cascades_to_children_and_theirs(registered):
    registered("grandchild", ask=Halt("Which?"))
    registered("child", kid=SubWorkflow("grandchild"))
    halted = run(registered("parent", kid=SubWorkflow("child")))
    child = api.get(halted.waits[0].key)
    (grandchild,) = wiring.store().find(parent=child.id)

    cancel(halted.execution_id)

    reason = f"Cancelled: parent {halted.execution_id} was cancelled"
    assert api.get(child.id).error == reason
    assert api.get(grandchild.id).status == ExecutionStatus.CANCELLED


def test_child_that_has_ended_stays_as_it_ended(registered):
    registered("child", work=Call(lambda: 1))
    halted = run(registered("parent", kid=SubWorkflow("child"), ask=Halt("Well?")))

    cancel(halted.execution_id)

    (child,) = wiring.store().find(parent=halted.execution_id)
    assert child.status == ExecutionStatus.COMPLETED


@pytest.mark.parametrize("handled", [True, False])
def test_cancelled_child_is_a_failed_step_of_its_parent(registered, handled):
    registered("child", ask=Halt("Which?"))
    on_error = {"on_error": "rescue"} if handled else {}
    workflow = registered(
        "parent",
        kid=SubWorkflow("child", **on_error),
        end=End(),
        **({"rescue": Call(lambda: "rescued")} if handled else {}),
    )
    halted = run(workflow)

    cancel(halted.waits[0].key, "no need")

    parent = api.get(halted.execution_id)
    if handled:
        assert (parent.status, parent.result) == (ExecutionStatus.COMPLETED, "rescued")
    else:
        assert parent.status == ExecutionStatus.FAILED
        assert "is cancelled: Cancelled: no need" in parent.error

"""Children that nobody waits for any more are cancelled with what they were wanted for."""

from datetime import timedelta

import pytest

from django_workflows import api, run, wiring
from django_workflows.core.engine.orphans import cancel_orphan
from django_workflows.core.ids import new_id
from django_workflows.steps import Approval, Halt, Parallel, SubWorkflow
from django_workflows.supervisor import sweep

pytestmark = pytest.mark.django_db(transaction=True)


def only_child(parent_id):
    (child,) = wiring.store().find(parent=parent_id)
    return child


def test_child_of_a_parent_past_its_deadline_is_cancelled(registered, travel):
    registered("child", ask=Halt("?"))
    workflow = registered("parent", timeout=timedelta(seconds=60), kid=SubWorkflow("child"))
    halted = run(workflow)

    travel(61)
    sweep()

    assert api.get(halted.execution_id).status == "failed"
    assert only_child(halted.execution_id).status == "cancelled"


def test_child_in_a_branch_that_is_given_up_is_cancelled_with_its_own(registered):
    registered("grandchild", ask=Halt("?"))
    registered("child", kid=SubWorkflow("grandchild"))
    branches = {"left": SubWorkflow("child", name="kid"), "right": Halt("own", name="ask")}
    halted = run(registered("parent", both=Parallel(branches, wait="any")))

    api.resume(halted.execution_id, step="both/right/ask", response=1)

    child = only_child(halted.execution_id)
    assert api.get(halted.execution_id).status == "completed"
    assert child.status == "cancelled"
    assert only_child(child.id).status == "cancelled"


def test_child_that_is_gone_is_no_trouble():
    told = []

    cancel_orphan(wiring.store(), new_id(), "gone", None, lambda *what: told.append(what))

    assert told == []


def test_approver_that_a_reference_resolved_to_nonsense_is_refused_at_the_step(registered):
    result = registered("asking", it=Approval("?", approvers=["$input.who"])).run(who="alice")

    assert result.status == "failed"
    assert "approver 'alice' must be 'user:NAME'" in result.error

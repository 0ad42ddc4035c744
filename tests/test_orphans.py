"""Children that nobody waits for any more are cancelled with what they were wanted for."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_workflows import api, run, start, wiring
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import Change
from django_workflows.core.engine.orphans import cancel_orphans
from django_workflows.core.ids import new_id
from django_workflows.models import WorkflowChore
from django_workflows.steps import Approval, Call, ForEach, Halt, Parallel, SubWorkflow
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


@pytest.fixture
def few_at_once(monkeypatch):
    monkeypatch.setattr("django_workflows.core.engine.orphans.MOST_CHILDREN", 3)
    monkeypatch.setattr("django_workflows.core.engine.chores.MOST_CHILDREN", 3)


def statuses(parent_id, step):
    return [str(child.status) for child in wiring.store().children(parent_id, step)]


@pytest.fixture
def two_groups(registered):
    """Make a workflow that starts eight children, and after them eight others."""
    items, ask = list(range(8)), Halt("?", name="ask")
    return registered(
        "parent", each=ForEach(items, do=ask, concurrency=4), two=ForEach(items, do=ask)
    )


@pytest.mark.usefixtures("few_at_once")
def test_all_children_of_a_skipped_step_are_cancelled_and_none_of_the_next(two_groups):
    halted = run(two_groups)

    api.skip(halted.execution_id)

    assert statuses(halted.execution_id, "each") == ["cancelled"] * 8
    assert statuses(halted.execution_id, "two") == ["halted"] * 8


@pytest.mark.usefixtures("few_at_once")
def test_children_of_a_skipped_step_are_found_behind_those_that_are_waited_for(two_groups, travel):
    parent = run(two_groups).execution_id
    store = wiring.store()
    old = store.find(parent=parent)
    api.skip(parent)
    for child in old:  # as if whoever skipped it had died before he could cancel them
        store.save(child)
    chore = Chore(kind=ChoreKind.CANCEL_CHILDREN, execution_id=parent)
    store.transition(parent, lambda stored, _: Change(execution=stored, chores=[chore]))

    travel(60)
    sweep()

    assert statuses(parent, "each") == ["cancelled"] * 8
    assert statuses(parent, "two") == ["halted"] * 8
    assert store.chores(chore.due_at) == []


def test_on_error_begins_after_the_other_children_were_cancelled(registered):
    seen = []

    def work(state):
        if state.ctx["item"] == 2:
            raise ValueError("bad")

    def look(state):
        seen.extend(statuses(state.execution_id, "each"))

    each = ForEach([1, 2, 3], do=[Call(work, name="work"), Halt("?", name="ask")], on_error="told")

    run(registered("parent", each=each, told=Call(look), over=Halt("?")))

    assert seen == ["cancelled", "failed", "cancelled"]


def test_child_that_is_gone_is_no_trouble():
    told = []

    cancel_orphans(wiring.store(), [new_id()], "gone", None, lambda *what: told.append(what))

    assert told == []


def test_approver_that_a_reference_resolved_to_nonsense_is_refused_at_the_step(registered):
    result = registered("asking", it=Approval("?", approvers=["$input.who"])).run(who="alice")

    assert result.status == "failed"
    assert "approver 'alice' must be 'user:NAME'" in result.error


@pytest.mark.parametrize("is_asked", [False, True])
def test_cancelling_costs_as_many_statements_for_many_children_as_for_few(
    registered, settings, is_asked
):
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.SilentBell"}}
    registered("child", ask=Halt("?"))
    workflow = registered("parent", each=ForEach("$input.items", do="child"))

    def cancelled(count):
        parent = start(workflow, {"items": list(range(count))})
        wiring.drive(parent.id)
        for child in wiring.store().execution_ids(parent=parent.id) if is_asked else ():
            wiring.drive(child)
        with CaptureQueriesContext(connection) as queries:
            api.cancel(parent.id)
        assert statuses(parent.id, "each") == ["cancelled"] * count
        assert not WorkflowChore.objects.exists()
        return len(queries)

    assert cancelled(40) == cancelled(10)

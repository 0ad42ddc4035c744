"""Parents and children, as the public functions see them."""

from dataclasses import replace

import pytest

from django_workflows import api, resume, run, wiring
from django_workflows.core.engine.arriving import meet
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import WaitStatus
from django_workflows.steps import Call, Halt, Parallel, SubWorkflow

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def parent(registered):
    registered("child", ask=Halt("Which?"))
    return registered("parent", kid=SubWorkflow("child"), after=Call(lambda: "after"))


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("of_child", [True, False])
def test_resuming_parent_or_child_resumes_the_child_and_then_the_parent(parent, of_child, wait):
    halted = run(parent)
    child_id = halted.waits[0].key
    resumed = child_id if of_child else halted.execution_id

    returned = resume(resumed, response="blue", wait=wait)

    assert resumed == (returned.execution_id if wait else returned.id)
    assert api.get(child_id).result == "blue"
    ended = api.get(halted.execution_id)
    assert (ended.status, ended.result) == (ExecutionStatus.COMPLETED, "after")
    assert ended.ctx["kid"] == "blue"


def test_child_is_linked_to_its_parent(parent):
    halted = run(parent, by="alice", queue="slow")

    child = api.get(halted.waits[0].key)

    assert (child.parent, child.workflow_id) == (halted.execution_id, "child")
    assert (child.started_by, child.queue) == ("alice", "slow")


def test_child_that_ends_wakes_its_parent_from_among_other_waits(registered):
    registered("child", ask=Halt("Which?"))
    workflow = registered(
        "parent", both=Parallel(a=Halt("own", name="ask"), b=SubWorkflow("child", name="kid"))
    )
    halted = run(workflow)

    resume(halted.execution_id, step="both/b/kid", response="blue")
    result = resume(halted.execution_id, response="red", wait=True)

    assert result.output == {"a": "red", "b": "blue"}


def test_child_that_ends_while_its_parent_is_busy_is_noticed(registered, settings):
    settings.WORKFLOWS = {"PARALLEL_THREADS": 0}
    registered("child", ask=Halt("Which?"))

    def answer_child(state):
        (child,) = wiring.store().find(parent=state.execution_id)
        resume(child.id, response="blue")

    workflow = registered(
        "parent",
        both=Parallel(a=SubWorkflow("child", name="kid"), b=Call(answer_child, name="answer")),
    )

    assert run(workflow).output == {"a": "blue", "b": None}


def test_end_of_a_child_that_was_told_already_is_told_to_nobody(parent):
    halted = run(parent)
    store = wiring.store()
    (before,) = store.waits(halted.execution_id)
    resume(halted.execution_id, response="blue")
    ended = store.entries(halted.execution_id)
    awakened = []

    given = meet(store, halted.execution_id, awakened.append)

    assert (given, awakened) == (None, [])
    assert store.entries(halted.execution_id) == ended
    assert before.key is not None


def test_end_of_a_child_whose_parent_another_hand_wakes_at_that_moment(parent, monkeypatch):
    halted = run(parent)
    store = wiring.store()
    (before,) = store.waits(halted.execution_id)
    resume(halted.execution_id, response="blue")
    ended = store.entries(halted.execution_id)
    # As another driver saw it, right before.
    monkeypatch.setattr(store, "waits", lambda name, status: [replace(before, status=status)])

    given = meet(store, halted.execution_id, lambda child: None)

    assert given is None
    assert store.entries(halted.execution_id) == ended


def test_child_that_is_still_under_way_wakes_nobody(parent):
    halted = run(parent)
    store = wiring.store()

    assert meet(store, halted.execution_id, lambda child: None) is None
    assert store.waits(halted.execution_id)[0].status == WaitStatus.OPEN

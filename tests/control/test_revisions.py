"""What is done to an execution as it was shown is not done to one that has moved on."""

import pytest

from django_workflows import api, cancel, fork, resume, retry, run, skip
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import InvalidTransition
from django_workflows.steps import Call, Halt

pytestmark = pytest.mark.django_db(transaction=True)

MOVED = "has moved on since it was shown"


@pytest.fixture
def asking(registered):
    return registered("asking", a=Halt("a?"), b=Halt("b?"), c=Halt("c?"))


@pytest.fixture
def shown(asking):
    """An execution as it was shown, which waits at the next step by now."""
    execution = api.get(run(asking).execution_id)
    resume(execution.id, wait=True)
    return execution


def test_every_transition_makes_another_revision(registered, fault):
    workflow = registered("moving", a=Halt("a?"), work=Call(fault))
    execution = api.get(run(workflow).execution_id)
    seen = [execution.revision]

    resume(execution.id, wait=True)
    seen.append(api.get(execution.id).revision)
    seen.append(retry(execution.id).revision)
    seen.append(api.get(execution.id).revision)
    seen.append(skip(execution.id).revision)
    seen.append(api.get(execution.id).revision)

    assert len(set(seen)) == len(seen)


def test_skip_goes_past_no_step_that_was_not_shown(shown):
    with pytest.raises(InvalidTransition, match=f"halted at 'b', and {MOVED}"):
        skip(shown.id, expected_revision=shown.revision)

    assert api.get(shown.id).current_step == "b"
    skip(shown.id, expected_revision=api.get(shown.id).revision)
    assert api.get(shown.id).current_step == "c"


def test_cancel_ends_nothing_that_was_not_shown(shown):
    with pytest.raises(InvalidTransition, match=MOVED):
        cancel(shown.id, expected_revision=shown.revision)

    assert api.get(shown.id).status == ExecutionStatus.HALTED
    cancel(shown.id, expected_revision=api.get(shown.id).revision)


def test_fork_takes_nothing_that_was_not_shown(shown):
    with pytest.raises(InvalidTransition, match=MOVED):
        fork(shown.id, "a", expected_revision=shown.revision)

    assert fork(shown.id, "a", expected_revision=api.get(shown.id).revision).id != shown.id


def test_retry_undoes_no_retry_that_was_not_shown(faulty):
    shown = api.get(run(faulty, {"n": 1}).execution_id)
    retry(shown.id, input={"n": 5})

    with pytest.raises(InvalidTransition, match=MOVED):
        retry(shown.id, input={"n": 1}, expected_revision=shown.revision)

    assert api.get(shown.id).input == {"n": 5}
    retry(shown.id, input={"n": 6}, expected_revision=api.get(shown.id).revision)
    assert api.get(shown.id).input == {"n": 6}

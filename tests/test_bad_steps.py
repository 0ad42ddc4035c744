"""Steps that return what cannot be used or kept fail by name, and nothing of it is kept."""

from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Group

from django_workflows import api, run
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import Step
from django_workflows.steps import Call

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("outcome", [None, "fine", SimpleNamespace(result=None), object()])
def test_step_kind_that_returns_nonsense_fails_by_name(registered, outcome):
    class Nonsense(Step):
        def execute(self, state, run):
            return outcome

    result = run(registered("nonsense", it=Nonsense()))

    assert result.status == ExecutionStatus.FAILED
    assert "Step 'it' returned" in result.error
    assert "must return a StepOutcome" in result.error


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Group(name="managers"), "store its pk"),
        (float("inf"), "inf"),
        ({1: "one"}, "output"),
        (open, "output"),
    ],
)
def test_output_that_cannot_be_kept_fails_its_step_by_name(registered, value, reason):
    result = run(registered("unkept", it=Call(lambda: {"deep": value})))

    assert result.status == ExecutionStatus.FAILED
    assert result.error.startswith("OutputError: Step 'it' cannot keep its output")
    assert reason in result.error
    assert api.get(result.execution_id).ctx == {}


def test_huge_output_fails_its_step_by_the_name_of_the_limit(registered, settings):
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 1_000}

    result = run(registered("huge", it=Call(lambda: "x" * 1_000)))

    assert "1,002 bytes are more than MAX_PAYLOAD_BYTES (1,000) allows" in result.error
    assert api.get(result.execution_id).ctx == {}

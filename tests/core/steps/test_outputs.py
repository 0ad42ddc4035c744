"""What a method or service may return."""

import pytest
from django.db.models import F

from django_workflows.core.engine.limits import Limits
from django_workflows.core.retry import Retry
from django_workflows.core.steps import Assign, Call, End, goto
from tests.core.flows import engine_of, flow, history, run

# Outputs ----------------------------------------------------------------------------------------


def test_output_has_the_key_that_is_asked_for():
    workflow = flow(a=Call(lambda: 1, output="x"), done=End(result=F("ctx")))

    assert run(workflow).output == {"x": 1}


def test_output_of_none_is_not_kept_in_ctx_but_is_the_result():
    engine = engine_of(flow(a=Call(lambda: 7, output=None), mark=Assign(x=1)))

    result = engine.run()

    assert result.output == 7
    assert engine.store.load(result.execution_id).ctx == {"x": 1}


SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "number"}},
    "required": ["total"],
}


def test_output_that_fits_its_schema():
    assert run(Call(lambda: {"total": 1}, output_schema=SCHEMA)).output == {"total": 1}


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"total": "much"}, "$.total: 'much' is not of type 'number'"),
        ({}, "$: 'total' is a required property"),
        (None, "$: None is not of type 'object'"),
        (goto("done", output=[]), "$: [] is not of type 'object'"),
    ],
)
def test_output_that_breaks_its_schema_fails_the_step(output, reason):
    result = run(flow(it=Call(lambda: output, output_schema=SCHEMA), done=End()))

    assert result.error == f"OutputError: Output of step 'it' breaks its schema: {reason}"


class Row:
    pk = 7
    _meta = "a model has such an attribute"


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, {"b": object()}]}, r"output\.a\[1\]\.b: object cannot be stored"),
        (float("nan"), "output: float nan is no JSON number"),
        ("\ud800", "output: text holds a lone surrogate"),
        (Row(), "output: a model instance .* cannot be stored; store its pk"),
        ({1: 2}, "output: key 1 is int; keys must be plain str"),
    ],
    ids=["object", "nan", "surrogate", "model", "key"],
)
def test_value_that_cannot_be_kept_names_step_and_key_path(value, place):
    attempts = []

    def work():
        attempts.append(1)
        return value

    result = run(Call(work, retry=Retry(attempts=3, delay=0)))

    with pytest.raises(AssertionError, match=rf"Step 'it' cannot keep its {place}"):
        raise AssertionError(result.error)
    assert len(attempts) == 1  # it would be refused each time


def test_output_larger_than_allowed_is_refused():
    result = run(Call(lambda: "x" * 100), limits=Limits(payload_bytes=50))

    assert "102 bytes are more than MAX_PAYLOAD_BYTES (50) allows" in result.error


# goto -------------------------------------------------------------------------------------------


def test_goto_goes_there_with_its_output():
    workflow = flow(a=Call(lambda: goto("c", output=5)), b=Call(lambda: 6), c=End(result=F("ctx")))

    assert run(workflow).output == {"a": 5}


def test_goto_a_step_that_is_not_there_fails():
    engine = engine_of(flow(a=Call(lambda: goto("nowhere")), b=End()))

    result = engine.run()

    assert result.error == "StepError: There is no step 'nowhere' to go to here; there are: a, b."
    assert history(engine, result.execution_id, "completed") == []

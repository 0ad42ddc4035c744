"""Every public function with the wrong thing: the error says what, and nothing is written."""

import re
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group

from django_workflows import (
    Workflow,
    api,
    cancel,
    explain,
    fork,
    load_workflow,
    resume,
    retry,
    run,
    send_event,
    skip,
    start,
    wait,
)
from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.ids import new_id
from django_workflows.exceptions import (
    ConfigurationError,
    ExecutionNotFound,
    InputError,
    PayloadError,
    UnknownWorkflow,
)
from django_workflows.models import WorkflowEvent, WorkflowExecution
from django_workflows.steps import Call, Halt

pytestmark = pytest.mark.django_db


def starting(test):
    """Ask both ways to begin, and that neither wrote an execution."""
    test = pytest.mark.usefixtures("nothing_written")(test)
    return pytest.mark.parametrize("begin", [start, run])(test)


@pytest.fixture
def ordered(registered):
    @dataclass
    class Input:
        order_id: int
        quantity: int = 1

    return registered("ordered", Input=Input, work=Call(lambda: 1))


@pytest.fixture
def halted(registered):
    return run(registered("halting", ask=Halt("Which?"))).execution_id


@pytest.fixture
def nothing_written(request):
    """See that no execution is there at the end beside those that the test was given."""
    if "halted" in request.fixturenames:
        request.getfixturevalue("halted")
    before = WorkflowExecution.objects.count()
    yield
    assert WorkflowExecution.objects.count() == before


# Workflows --------------------------------------------------------------------------------------


@starting
def test_unknown_workflow_is_named_with_those_that_are_known(ordered, begin):
    with pytest.raises(UnknownWorkflow, match=r"No workflow 'nope' is registered\. .*ordered"):
        begin("nope")


@starting
def test_class_that_is_not_registered_is_refused(ordered, begin):
    class Forgotten(ordered):
        pass

    with pytest.raises(ConfigurationError, match=r"Forgotten.* decorate its class with @register"):
        begin(Forgotten)


@starting
@pytest.mark.parametrize("nonsense", [None, 42, Workflow, object()])
def test_what_is_no_workflow_is_refused(begin, nonsense):
    with pytest.raises(ConfigurationError, match=re.escape(f"{nonsense!r} is no registered")):
        begin(nonsense)


# Input ------------------------------------------------------------------------------------------


@starting
def test_all_errors_of_the_input_come_at_once(ordered, begin):
    with pytest.raises(InputError) as caught:
        begin(ordered, {"quantity": "many", "colour": "blue"})

    assert set(caught.value.errors) == {"order_id", "quantity", "colour"}
    assert "colour: unknown field; known are order_id, quantity" in str(caught.value)


@starting
@pytest.mark.parametrize("nonsense", [[1, 2], "order", 7, [], ""])
def test_input_that_is_no_mapping_is_refused(ordered, halted, begin, nonsense):
    for workflow in (ordered, "halting"):
        with pytest.raises(InputError, match="input: must be a mapping of fields, not"):
            begin(workflow, nonsense)


@starting
@pytest.mark.parametrize(
    ("value", "reason"),
    [(float("nan"), "no JSON number"), ("\ud800", "lone surrogate"), (object(), "object")],
)
def test_input_that_cannot_be_kept_is_refused(halted, begin, value, reason):
    with pytest.raises(InputError, match=rf"order\.deep\[0\].*{reason}"):
        begin("halting", {"order": {"deep": [value]}})


@starting
def test_input_beyond_the_limit_is_refused_by_its_name(halted, settings, begin):
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 1_000}

    with pytest.raises(InputError, match=r"1,\d\d\d bytes are more than MAX_PAYLOAD_BYTES \(1,000"):
        begin("halting", {"text": "x" * 1_000})


@starting
@pytest.mark.parametrize("nonsense", ["order-7", "7", 42])
def test_execution_id_that_is_no_uuid_is_refused(ordered, begin, nonsense):
    with pytest.raises(InputError, match=r"is no UUID; give your own as idempotency_key="):
        begin(ordered, {"order_id": 1}, execution_id=nonsense)


@starting
def test_id_of_another_workflows_execution_is_refused(ordered, halted, begin):
    with pytest.raises(InputError, match=f"execution_id: '{halted}' is an execution of 'halting'"):
        begin(ordered, {"order_id": 1}, execution_id=halted)


@starting
@pytest.mark.parametrize("name", ["idempotency_key", "subject"])
def test_key_that_is_too_long_is_refused(ordered, begin, name):
    with pytest.raises(PayloadError, match=f"{name}: text of 300 characters; at most 2"):
        begin(ordered, {"order_id": 1}, **{name: "x" * 300})


@starting
def test_subject_must_be_saved(ordered, begin):
    with pytest.raises(PayloadError, match=r"subject: .* is not saved yet; save it first"):
        begin(ordered, {"order_id": 1}, subject=Group(name="managers"))


@starting
def test_subject_must_be_an_instance_or_a_label(ordered, begin):
    with pytest.raises(PayloadError, match="must be a model instance or its label, not 42"):
        begin(ordered, {"order_id": 1}, subject=42)


@starting
def test_starter_must_be_a_user_or_a_name(ordered, begin):
    with pytest.raises(TypeError, match="by= takes a user or a username, not 42"):
        begin(ordered, {"order_id": 1}, by=42)


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize(
    ("delay", "reason"),
    [
        (timedelta(seconds=-5), "must be 0 or more seconds"),
        (-5, "must be 0 or more seconds"),
        (timedelta(days=9_999_999), r"must be at most 100 years \(36,525 days\)"),
        (999_999_999_999, r"must be at most 100 years \(36,525 days\)"),
    ],
)
def test_delay_out_of_bounds_is_told_in_words(ordered, delay, reason):
    with pytest.raises(PayloadError, match=f"^delay: {reason}$"):
        start(ordered, {"order_id": 1}, delay=delay)


def test_delay_of_a_hundred_years_is_kept(ordered):
    assert start(ordered, {"order_id": 1}, delay=clock.LONGEST).status == "halted"


def test_delay_must_be_a_duration(ordered):
    with pytest.raises(PayloadError, match="delay: must be seconds or a timedelta"):
        start(ordered, {"order_id": 1}, delay="soon")


# Executions -------------------------------------------------------------------------------------

on_an_execution = pytest.mark.parametrize(
    "verb",
    [
        resume,
        cancel,
        retry,
        skip,
        lambda execution_id: fork(execution_id, "work"),
        lambda execution_id: wait(execution_id, timeout=1),
        explain,
        api.get,
    ],
)


@on_an_execution
@pytest.mark.parametrize("execution_id", [new_id(), "nope", "", None, 42])
def test_unknown_execution_is_named(verb, execution_id):
    with pytest.raises(ExecutionNotFound, match=re.escape(repr(str(execution_id)))):
        verb(execution_id)


@pytest.mark.parametrize(
    ("verb", "place"),
    [
        (lambda name, value: resume(name, response={"a": [value]}), "response.a[0]"),
        (lambda name, value: skip(name, output=[value]), "output[0]"),
        (lambda name, value: send_event("paid", data={"a": value}), "data.a"),
    ],
)
def test_value_that_cannot_be_kept_is_refused_with_its_place(halted, verb, place):
    with pytest.raises(PayloadError) as caught:
        verb(halted, Group(name="managers"))

    assert caught.value.path == place
    assert "store its pk" in str(caught.value)
    assert api.get(halted).status == ExecutionStatus.HALTED
    assert not WorkflowEvent.objects.exists()


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        (lambda execution_id, value: resume(execution_id, response=value), "response"),
        (lambda execution_id, value: skip(execution_id, output=value), "output"),
        (lambda execution_id, value: send_event("paid", data=value), "data"),
    ],
)
def test_huge_value_is_refused_by_the_name_of_the_limit(halted, settings, verb, name):
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 1_000}

    with pytest.raises(PayloadError, match=rf"{name}: 1,002 bytes .* MAX_PAYLOAD_BYTES \(1,000\)"):
        verb(halted, "x" * 1_000)

    assert api.get(halted).status == ExecutionStatus.HALTED
    assert not WorkflowEvent.objects.exists()


def test_retry_checks_its_input_as_start_does(registered, settings):
    @dataclass
    class Input:
        by: int

    def divide(state):
        return 1 / state.input["by"]

    failed = run(registered("dividing", Input=Input, work=Call(divide)), {"by": 0}).execution_id

    for nonsense in ({"by": "two"}, {"by": 1, "more": 2}, [1]):
        with pytest.raises(InputError):
            retry(failed, input=nonsense)
    assert api.get(failed).status == ExecutionStatus.FAILED


def test_verb_on_a_workflow_that_is_not_registered_here_names_it(halted):
    from django_workflows import registry

    registry.remove("halting")

    for verb in (resume, retry, skip, lambda execution_id: fork(execution_id, "ask")):
        with pytest.raises(UnknownWorkflow, match="'halting'"):
            verb(halted)
    assert cancel(halted).status == ExecutionStatus.CANCELLED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["x" * 201, "paid"])
def test_event_whose_name_or_key_is_too_long_is_refused(name):
    with pytest.raises(PayloadError, match="at most 200 are kept"):
        send_event(name, key="x" * 201)

    assert not WorkflowEvent.objects.exists()


@pytest.mark.parametrize("source", ["", "just text", "steps: 7"])
def test_document_that_is_none_is_refused(source):
    from django_workflows.exceptions import DefinitionError

    with pytest.raises(DefinitionError):
        load_workflow(source)

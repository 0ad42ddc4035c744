import json

import pytest
from django.core import serializers
from django.core.exceptions import ValidationError
from django.db.models import TextField, Value

from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.ids import new_id
from django_workflows.core.waits import WaitKind
from django_workflows.exceptions import PayloadError, escaped
from django_workflows.fields import (
    CompensationsField,
    EnumField,
    IdField,
    TypedJSONField,
)
from django_workflows.models import WorkflowEntry, WorkflowExecution, WorkflowWait
from tests.factories import (
    WorkflowEntryFactory,
    WorkflowEventFactory,
    WorkflowExecutionFactory,
    WorkflowWaitFactory,
)
from tests.stores.contract.records import CHANGED, FULL_WAIT
from tests.values import SAMPLES, exact


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("plain", "plain", id="ascii"),
        pytest.param("Grüße 🌍", "Grüße 🌍", id="unicode"),
        pytest.param("a\x00b", "a\\x00b", id="nul"),
        pytest.param("a\ud800b", "a\\ud800b", id="lone_surrogate"),
        pytest.param("ž\x00\udfff", "ž\\x00\\udfff", id="both"),
        pytest.param("", "", id="empty"),
    ],
)
def test_storable_text_is_what_every_database_keeps(text, kept):
    assert escaped(text) == kept


# Ids --------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_id_is_read_as_text():
    row = WorkflowEntryFactory()

    read = WorkflowEntry.objects.get(pk=row.pk)

    assert read.execution_id == row.execution.pk
    assert WorkflowExecution.objects.values_list("pk", flat=True).get() == row.execution.pk
    assert WorkflowExecution.objects.filter(parent__pk=new_id()).count() == 0


@pytest.mark.parametrize("value", ["7", "", object()], ids=["short", "empty", "object"])
def test_what_is_no_id_is_not_valid(value):
    with pytest.raises(ValidationError):
        IdField().to_python(value)


def test_an_id_that_is_not_there_is_none():
    assert IdField(null=True).to_python(None) is None


# Enums ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_enum_is_read_as_its_member():
    row = WorkflowWaitFactory(kind=WaitKind.TIMER)

    assert WorkflowWait.objects.get(pk=row.pk).kind is WaitKind.TIMER
    assert WorkflowWait.objects.filter(kind="timer").exists()


def test_the_choices_of_an_enum_are_words():
    entry = WorkflowEntryFactory.build(action=EntryAction.TIMED_OUT)

    assert entry.get_action_display() == "timed out"


def test_an_enum_in_a_migration_has_no_choices():
    _, path, _, options = WorkflowExecution._meta.get_field("status").deconstruct()

    assert path == "django_workflows.fields.EnumField"
    assert options["enum"] is ExecutionStatus
    assert "choices" not in options


@pytest.mark.parametrize(("value", "member"), [("failed", ExecutionStatus.FAILED), (None, None)])
def test_an_enum_converts_its_value(value, member):
    field = EnumField(enum=ExecutionStatus, null=True)

    assert field.to_python(value) is member
    assert field.from_db_value(value, None, None) is member
    assert field.get_prep_value(member) == value


# Text -------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("other", ["Paid", "paid ", "páid", "PAID"])
def test_a_key_is_compared_character_by_character(other):
    event = WorkflowEventFactory(name="paid", key="7")

    assert list(type(event).objects.filter(name="paid")) == [event]
    assert list(type(event).objects.filter(name=other)) == []


@pytest.mark.django_db
def test_a_key_that_is_too_long_is_refused_with_its_name():
    WorkflowEventFactory(key="ž" * 200)

    with pytest.raises(PayloadError, match="key: text of 201 characters; at most 200 are kept"):
        WorkflowEventFactory(key="ž" * 201)


@pytest.mark.django_db
def test_a_key_that_is_too_long_is_looked_up_in_vain():
    assert list(WorkflowExecution.objects.filter(workflow_id="x" * 500)) == []


@pytest.mark.django_db
def test_text_that_cannot_be_kept_becomes_an_escape():
    row = WorkflowExecutionFactory(error="ValueError: \x00\ud800", subject="a\x00", queue=None)

    row.refresh_from_db()

    assert row.error == "ValueError: \\x00\\ud800"
    assert row.subject == "a\\x00"
    assert row.queue is None
    assert WorkflowExecution.objects.filter(subject="a\x00").exists()


# Values -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_values_survive_dumpdata_and_loaddata():
    names = ["input", "ctx", "frames", "result", "halt_data", "compensations"]
    execution = WorkflowExecutionFactory(**{name: CHANGED[name] for name in names})
    wait = WorkflowWaitFactory(execution=execution, **FULL_WAIT)
    text = serializers.serialize("json", [execution, wait])
    WorkflowExecution.objects.all().delete()

    for loaded in serializers.deserialize("json", text):
        loaded.save()

    read = WorkflowExecution.objects.get(pk=execution.pk).to_core().to_dict()
    before = execution.to_core().to_dict()
    assert exact([read[name] for name in names]) == exact([before[name] for name in names])
    again = WorkflowWait.objects.get(pk=wait.pk)
    assert exact(again.data) == exact(wait.data)
    assert (again.approvers, again.answers) == (wait.approvers, wait.answers)


@pytest.mark.parametrize("name", ["text", "nul", "dict_like_a_tag", "null", "list", "decimal"])
def test_a_value_is_not_taken_for_its_text_when_it_is_validated(name):
    cleaned = TypedJSONField(null=True, blank=True).clean(SAMPLES[name], None)

    assert exact(cleaned) == exact(SAMPLES[name])


@pytest.mark.django_db
def test_a_value_is_kept_as_text_in_the_order_of_its_keys():
    row = WorkflowExecutionFactory(ctx={"b": 1, "a": "\x00"})

    found = WorkflowExecution.objects.filter(ctx={"b": 1, "a": "\x00"})
    swapped = WorkflowExecution.objects.filter(ctx={"a": "\x00", "b": 1})

    assert list(found) == [row]
    assert list(swapped) == []


@pytest.mark.django_db
def test_what_is_not_json_names_the_trouble():
    row = WorkflowExecutionFactory()
    broken = Value("{", output_field=TextField())
    WorkflowExecution.objects.filter(pk=row.pk).update(ctx=broken)

    with pytest.raises(PayloadError, match="stored data is not JSON"):
        row.refresh_from_db()


def test_compensations_are_kept_in_their_order():
    field = CompensationsField()

    text = field.get_prep_value(CHANGED["compensations"])

    assert [item["step"] for item in json.loads(text)] == ["charge", "each[1]/ship"]
    assert field.read(text) == CHANGED["compensations"]

import dataclasses

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import IntegrityError, connection

from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.execution import Entry, EntryAction, Execution
from django_workflows.core.presence import Presence
from django_workflows.core.waits import InboxEvent, Wait
from django_workflows.exceptions import PayloadError
from django_workflows.models import (
    WorkflowChore,
    WorkflowEntry,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowPresence,
    WorkflowVersion,
    WorkflowWait,
    subject_key,
)
from tests.factories import (
    AnswerFactory,
    ChoreFactory,
    EntryFactory,
    ExecutionFactory,
    InboxEventFactory,
    PresenceFactory,
    WaitFactory,
    WorkflowEntryFactory,
    WorkflowEventFactory,
    WorkflowExecutionFactory,
    WorkflowVersionFactory,
    WorkflowWaitFactory,
)

MODELS = [
    WorkflowExecution,
    WorkflowEntry,
    WorkflowWait,
    WorkflowEvent,
    WorkflowVersion,
    WorkflowChore,
    WorkflowPresence,
]


def names(core):
    return {field.name for field in dataclasses.fields(core)}


# Mirrors ----------------------------------------------------------------------------------------


def test_an_execution_has_the_fields_of_the_core_type():
    assert {field.name for field in WorkflowExecution._meta.fields} == names(Execution)


@pytest.mark.parametrize(
    ("model", "core", "own"),
    [
        (WorkflowEntry, Entry, {"id"}),  # the order of their writing
        (WorkflowWait, Wait, set()),
        (WorkflowEvent, InboxEvent, set()),
        (WorkflowChore, Chore, set()),
        (WorkflowPresence, Presence, set()),
    ],
)
def test_a_model_has_the_fields_of_its_core_type(model, core, own):
    columns = {field.attname for field in model._meta.fields}

    assert columns == names(core) | own
    assert set(model.mirrored()) == names(core)


@pytest.mark.parametrize(
    ("model", "record"),
    [
        (WorkflowExecution, ExecutionFactory.build()),
        (WorkflowEntry, EntryFactory.build()),
        (WorkflowWait, WaitFactory.build(answers=(AnswerFactory.build(),))),
        (WorkflowEvent, InboxEventFactory.build()),
        (WorkflowChore, ChoreFactory.build()),
        (WorkflowPresence, PresenceFactory.build(queues=("slow", "fast"))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_columns_of_a_record_make_its_row(model, record):
    row = model(**model.columns_of(record))

    assert row.to_core() == record


@pytest.mark.parametrize(
    ("model", "required"),
    [
        (WorkflowExecution, {"workflow_id": "orders"}),
        (
            WorkflowEntry,
            {"execution_id": "x", "step_id": "charge", "action": EntryAction.COMPLETED},
        ),
        (WorkflowWait, {"execution_id": "x", "step": "review"}),
        (WorkflowEvent, {"name": "paid"}),
        (WorkflowChore, {"kind": ChoreKind.MEET}),
        (WorkflowPresence, {"host": "host", "pid": 7}),
    ],
)
def test_a_model_has_the_defaults_of_its_core_type(model, required):
    row = model(**required).to_core()

    record = model.core(**required)
    own = {
        name for name in names(model.core) if name in {"id", "timestamp"} or name.endswith("_at")
    }
    assert dataclasses.replace(row, **{name: getattr(record, name) for name in own}) == record


# Names, permissions, order ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (WorkflowEntryFactory.build(), "charge completed"),
        (WorkflowWaitFactory.build(), "review halt open"),
        (WorkflowEventFactory.build(key="7"), "paid:7"),
        (WorkflowVersionFactory.build(version="2"), "orders 2"),
        (WorkflowChore(kind=ChoreKind.MEET, execution_id="1-2"), "meet 1-2"),
        (WorkflowChore(kind=ChoreKind.DELIVER, target="paid:7"), "deliver paid:7"),
        (WorkflowPresence(id="host:7:ab"), "host:7:ab"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_row_is_named_by_what_a_person_knows_it_by(row, text):
    assert str(row) == text


def test_an_execution_is_named_by_workflow_and_id():
    row = WorkflowExecutionFactory.build()

    assert str(row) == f"orders {row.pk}"


@pytest.mark.django_db
def test_each_verb_has_a_permission():
    codenames = Permission.objects.filter(
        content_type__app_label="django_workflows", content_type__model="workflowexecution"
    ).values_list("codename", flat=True)

    verbs = ["start", "resume", "decide", "retry", "cancel", "skip", "fork", "view"]
    assert {f"{verb}_workflowexecution" for verb in verbs} <= set(codenames)


@pytest.mark.django_db
def test_executions_come_newest_first():
    old, new = WorkflowExecutionFactory(), WorkflowExecutionFactory()

    assert list(WorkflowExecution.objects.all()) == [new, old]


@pytest.mark.django_db
def test_deleting_an_execution_takes_along_what_belongs_to_it():
    parent = WorkflowExecutionFactory()
    child = WorkflowExecutionFactory(parent=parent)
    WorkflowEntryFactory(execution=child)
    WorkflowWaitFactory(execution=child)

    parent.delete()

    assert not any(model.objects.exists() for model in MODELS)


# Subjects ---------------------------------------------------------------------------------------


class ProxyUser(User):
    class Meta:
        proxy = True
        app_label = "auth"


@pytest.mark.django_db
def test_executions_are_found_by_their_subject():
    group = Group.objects.create(name="managers")
    about = WorkflowExecutionFactory(subject=subject_key(group))
    WorkflowExecutionFactory(subject=f"auth.group:{group.pk}1")
    WorkflowExecutionFactory()

    assert list(WorkflowExecution.objects.for_subject(group)) == [about]


@pytest.mark.parametrize("model", [User, ProxyUser])
def test_a_subject_is_named_by_the_model_that_has_the_table(model):
    assert subject_key(model(pk=7)) == "auth.user:7"


# Constraints, checks, migrations ----------------------------------------------------------------


@pytest.mark.django_db
def test_a_key_is_unique_in_its_workflow():
    WorkflowExecutionFactory(idempotency_key="7")
    WorkflowExecutionFactory(idempotency_key="7", workflow_id="other")

    with pytest.raises(IntegrityError):
        WorkflowExecutionFactory(idempotency_key="7")


@pytest.mark.django_db
def test_no_check_has_anything_to_say():
    messages = map(str, run_checks(databases=["default"]))

    assert [message for message in messages if "django_workflows.Workflow" in message] == []


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", "django_workflows", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db(transaction=True)
def test_the_migrations_can_be_undone_and_done_again():
    tables = {model._meta.db_table for model in MODELS}

    call_command("migrate", "django_workflows", "zero", verbosity=0)
    without = set(connection.introspection.table_names())
    call_command("migrate", "django_workflows", verbosity=0)
    again = set(connection.introspection.table_names())

    assert not tables & without
    assert tables <= again


@pytest.mark.django_db
def test_who_started_it_is_told_apart_by_each_character():
    mine = WorkflowExecutionFactory(started_by="ann")
    for other in ("Ann", "ann ", "änn", None):
        WorkflowExecutionFactory(started_by=other)

    assert list(WorkflowExecution.objects.filter(started_by="ann")) == [mine]


@pytest.mark.django_db
def test_a_name_that_no_index_takes_is_refused():
    WorkflowExecutionFactory(started_by="x" * 255)

    with pytest.raises(PayloadError, match="started_by: text of 256 characters; at most 255"):
        WorkflowExecutionFactory(started_by="x" * 256)

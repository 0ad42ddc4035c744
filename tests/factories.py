"""Records and rows to test with, complete and plain unless a test says otherwise."""

import factory
from factory.django import DjangoModelFactory

from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.execution import Entry, EntryAction, Execution
from django_workflows.core.ids import new_id
from django_workflows.core.presence import Presence
from django_workflows.core.waits import Answer, InboxEvent, Wait


class ExecutionFactory(factory.Factory):
    class Meta:
        model = Execution

    workflow_id = "orders"
    workflow_version = "1"
    input = factory.Sequence(lambda number: {"order_id": number})


class EntryFactory(factory.Factory):
    class Meta:
        model = Entry

    execution_id = factory.LazyFunction(new_id)
    step_id = "charge"
    step_type = "call"
    action = EntryAction.COMPLETED


class AnswerFactory(factory.Factory):
    class Meta:
        model = Answer

    approved = True
    by = "alice"


class WaitFactory(factory.Factory):
    class Meta:
        model = Wait

    execution_id = factory.LazyFunction(new_id)
    step = "review"


class InboxEventFactory(factory.Factory):
    class Meta:
        model = InboxEvent

    name = "paid"
    key = factory.Sequence(str)


class ChoreFactory(factory.Factory):
    class Meta:
        model = Chore

    kind = ChoreKind.MEET
    execution_id = factory.LazyFunction(new_id)


class PresenceFactory(factory.Factory):
    class Meta:
        model = Presence


class WorkflowExecutionFactory(DjangoModelFactory):
    class Meta:
        model = "django_workflows.WorkflowExecution"

    workflow_id = "orders"
    workflow_version = "1"
    input = factory.Sequence(lambda number: {"order_id": number})


class WorkflowEntryFactory(DjangoModelFactory):
    class Meta:
        model = "django_workflows.WorkflowEntry"

    execution = factory.SubFactory(WorkflowExecutionFactory)
    step_id = "charge"
    step_type = "call"
    action = EntryAction.COMPLETED


class WorkflowWaitFactory(DjangoModelFactory):
    class Meta:
        model = "django_workflows.WorkflowWait"

    execution = factory.SubFactory(WorkflowExecutionFactory)
    step = "review"


class WorkflowEventFactory(DjangoModelFactory):
    class Meta:
        model = "django_workflows.WorkflowEvent"

    name = "paid"
    key = factory.Sequence(str)


class WorkflowVersionFactory(DjangoModelFactory):
    class Meta:
        model = "django_workflows.WorkflowVersion"

    workflow_id = "orders"
    version = factory.Sequence(str)
    graph = factory.LazyFunction(lambda: {"steps": []})

import pytest
from django.contrib.auth.models import User
from django.utils import translation

from django_workflows.core.execution import ExecutionStatus
from django_workflows.models import WorkflowExecution, WorkflowWait
from django_workflows.reports import Count, count_of, counting, counts, per_workflow
from tests.factories import (
    WorkflowExecutionFactory,
    WorkflowVersionFactory,
    WorkflowWaitFactory,
)

pytestmark = pytest.mark.django_db

COMPLETED, FAILED, PENDING = (
    ExecutionStatus.COMPLETED,
    ExecutionStatus.FAILED,
    ExecutionStatus.PENDING,
)


def numbers(table):
    return {str(status): count.number for status, count in table.items() if count}


# Count ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (Count(0), "0"),
        (Count(999), "999"),
        (Count(10_000), "10,000"),
        (Count(10_000, is_more=True), "10,000+"),
    ],
)
def test_a_count_as_text_says_whether_there_are_more(count, text):
    with translation.override("en"):
        assert str(count) == text


def test_a_count_as_text_is_written_as_the_language_has_it():
    with translation.override("de"):
        assert str(Count(10_000, is_more=True)) == "10.000+"


def test_a_count_of_none_is_false():
    assert not Count(0)
    assert Count(1)


# count_of() -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (0, Count(0)),
        (2, Count(2)),
        (3, Count(3)),  # just as many as the cap
        (4, Count(3, is_more=True)),
        (5, Count(3, is_more=True)),
    ],
)
def test_rows_are_counted_to_the_cap(rows, found, django_assert_num_queries):
    for _ in range(rows):
        WorkflowWaitFactory()

    with django_assert_num_queries(1) as captured:
        assert count_of(WorkflowWait.objects.all(), 3) == found
    assert "ORDER BY" not in captured[0]["sql"]


# counts() ---------------------------------------------------------------------------------------


def test_executions_are_counted_by_status_in_one_query(django_assert_num_queries):
    for status, number in {COMPLETED: 3, FAILED: 1}.items():
        WorkflowExecutionFactory.create_batch(number, status=status)

    with django_assert_num_queries(1):
        found = counts(WorkflowExecution.objects.all(), cap=2)

    assert list(found) == list(ExecutionStatus)
    assert found[COMPLETED] == Count(2, is_more=True)
    assert found[FAILED] == Count(1)
    assert found[PENDING] == Count(0)


def test_of_an_empty_table_there_are_none():
    assert not any(counts(WorkflowExecution.objects.all()).values())


def test_executions_that_nobody_may_view_are_not_counted():
    WorkflowExecutionFactory()
    user = User.objects.create(username="ann")

    assert not any(counts(WorkflowExecution.objects.visible_to(user)).values())
    assert not any(counts(WorkflowExecution.objects.none()).values())


def test_executions_that_an_approval_asks_about_are_counted():
    WorkflowExecutionFactory()
    asked = WorkflowExecutionFactory(status="halted")
    WorkflowWaitFactory(execution=asked, kind="approval", approvers=("user:ann",))
    user = User.objects.create(username="ann")

    assert numbers(counts(WorkflowExecution.objects.visible_to(user))) == {"halted": 1}


# per_workflow() ---------------------------------------------------------------------------------


def test_executions_are_counted_by_workflow_and_status(django_assert_num_queries):
    for name, version in (("orders", "1"), ("orders", "2"), ("billing", "1"), ("unused", "1")):
        WorkflowVersionFactory(workflow_id=name, version=version)
    WorkflowExecutionFactory.create_batch(3, status=COMPLETED)
    WorkflowExecutionFactory(status=FAILED)
    WorkflowExecutionFactory(workflow_id="billing")

    with django_assert_num_queries(2):
        found = per_workflow(WorkflowExecution.objects.all(), cap=2)

    assert list(found) == ["billing", "orders"]
    assert numbers(found["billing"]) == {"pending": 1}
    assert found["orders"][COMPLETED] == Count(2, is_more=True)
    assert found["orders"][FAILED] == Count(1)
    assert list(found["orders"]) == list(ExecutionStatus)


def test_many_workflows_are_counted_in_several_queries(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(counting, "MOST_AT_ONCE", 10)
    for number in range(3):
        WorkflowVersionFactory(workflow_id=f"workflow {number}")
        WorkflowExecutionFactory.create_batch(number + 1, workflow_id=f"workflow {number}")

    with django_assert_num_queries(1 + 2):
        found = per_workflow(WorkflowExecution.objects.all())

    assert [numbers(table) for table in found.values()] == [{"pending": n} for n in (1, 2, 3)]

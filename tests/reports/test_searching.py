import pytest

from django_workflows.core.ids import new_id
from django_workflows.models import WorkflowExecution
from django_workflows.reports import search
from tests.factories import WorkflowExecutionFactory, WorkflowVersionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def execution():
    WorkflowVersionFactory(workflow_id="orders", version="1")
    WorkflowVersionFactory(workflow_id="orders", version="2")
    WorkflowVersionFactory(workflow_id="billing")
    WorkflowExecutionFactory(idempotency_key="order-70", subject="shop.order:70")
    return WorkflowExecutionFactory(idempotency_key="order-7", subject="shop.order:7")


def found(text):
    return list(search(WorkflowExecution.objects.all(), text))


@pytest.mark.parametrize("text", ["order-7", "shop.order:7", "  order-7\n"])
def test_an_execution_is_found_by_key_and_subject(execution, text, django_assert_num_queries):
    with django_assert_num_queries(2):
        assert found(text) == [execution]


def test_an_execution_is_found_by_its_id_however_that_is_written(execution):
    assert found(execution.pk) == [execution]
    assert found(execution.pk.upper()) == [execution]
    assert found(execution.pk.replace("-", "")) == [execution]


def test_all_that_the_text_fits_are_found(execution):
    other = WorkflowExecutionFactory(workflow_id="billing", idempotency_key="order-7")
    third = WorkflowExecutionFactory(subject="order-7")
    fourth = WorkflowExecutionFactory(subject=execution.pk)

    assert found("order-7") == [third, other, execution]
    assert found(execution.pk) == [fourth, execution]


@pytest.mark.parametrize(
    "text",
    ["order", "Order-7", "order-7%", "order_7", "shop.order:", "'", "\0", "x" * 1000, "ä\ud800"],
)
def test_a_part_is_not_enough(execution, text):
    assert found(text) == []


def test_an_unknown_id_is_not_found(execution):
    assert found(new_id()) == []


@pytest.mark.parametrize("text", ["", "  "])
def test_without_a_text_nothing_is_left_out(execution, text, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert len(found(text)) == 2


def test_only_the_executions_that_were_given_are_searched(execution):
    assert not search(WorkflowExecution.objects.filter(workflow_id="billing"), execution.pk)
    assert not search(WorkflowExecution.objects.none(), execution.pk)

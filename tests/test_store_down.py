"""A database that does not answer: the error names the store, and nothing is half-written."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection

from django_workflows import (
    cancel,
    explain,
    fork,
    resume,
    retry,
    run,
    send_event,
    skip,
    start,
    wait,
    wiring,
)
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import StoreUnavailable
from django_workflows.models import WorkflowEvent, WorkflowExecution
from django_workflows.steps import Call, Halt

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ordered(registered):
    return registered("ordered", work=Call(lambda: 1))


@pytest.fixture
def halted(registered):
    return run(registered("halting", ask=Halt("Which?"))).execution_id


@pytest.fixture
def store_down(halted, ordered):
    """No statement reaches the database, as where its server has gone."""

    def refuse(execute, sql, params, many, context):
        raise OperationalError("server closed the connection unexpectedly")

    with connection.execute_wrapper(refuse):
        yield
    kept = {row.workflow_id: row.status for row in WorkflowExecution.objects.all()}
    assert kept == {"halting": ExecutionStatus.HALTED}
    assert not WorkflowEvent.objects.exists()


@pytest.mark.parametrize(
    "verb",
    [
        lambda _: start("ordered", {"order_id": 1}),
        lambda _: start("ordered", {"order_id": 1}, delay=timedelta(days=1)),
        lambda _: run("ordered", {"order_id": 1}),
        lambda name: resume(name, response=1),
        lambda name: resume(name, response=1, wait=True),
        cancel,
        retry,
        skip,
        lambda name: fork(name, "ask"),
        lambda _: send_event("paid"),
        wait,
        explain,
    ],
)
def test_store_that_is_down_is_named(store_down, halted, verb):
    wiring.forget()

    with pytest.raises(StoreUnavailable, match=r"OrmStore\(using='default'\) does not answer: ser"):
        verb(halted)

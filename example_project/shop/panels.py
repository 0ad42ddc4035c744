"""What an order's page shows of each of its workflows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.utils.safestring import SafeString

from django_workflows import explain
from django_workflows.core.waits import WaitStatus
from django_workflows.models import WorkflowExecution, WorkflowWait
from django_workflows.permissions import may
from django_workflows.pictures import graph
from django_workflows.pictures.graph import GraphRow
from django_workflows.reports import inbox
from shop.fulfilment import executions_of
from shop.models import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One execution, as far as a user may see it."""

    execution: WorkflowExecution
    title: str
    why: str  # it is where it is, in one sentence: errors too, so for who may view it
    waits: list[WorkflowWait]  # open, and not for the user to decide
    decisions: list[WorkflowWait]  # open, and waiting for the user
    picture: SafeString | None  # the graph, where the user may view the execution
    rows: list[GraphRow]  # the same for a table


def panels(order: Order, user: AbstractBaseUser | AnonymousUser) -> Iterator[Panel]:
    """Yield a panel for each execution that is about ``order``, the newest first."""
    for execution in executions_of(order).prefetch_related("waits", "entries"):
        record = execution.to_core()
        waits = list(execution.waits.all())
        is_open = {wait.pk: wait for wait in waits if wait.status == WaitStatus.OPEN}
        asked = inbox(user).filter(execution=execution).values_list("pk", flat=True)
        mine = {pk for pk in asked if pk in is_open}
        is_shown = may(user, "view", record)
        way = (
            record,
            [entry.to_core() for entry in execution.entries.all()],
            [wait.to_core() for wait in waits],
        )
        yield Panel(
            execution=execution,
            title=execution.workflow_id.replace("_", " ").capitalize(),
            why=explain(execution.pk) if is_shown else "",
            waits=[wait for pk, wait in is_open.items() if pk not in mine],
            decisions=[wait for pk, wait in is_open.items() if pk in mine],
            picture=graph.svg(*way) if is_shown else None,
            rows=graph.rows(*way) if is_shown else [],
        )

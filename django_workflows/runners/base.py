"""The contract of an adapter: a bell, never the truth."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.engine import Engine
from django_workflows.core.execution import Execution
from django_workflows.core.store import Store
from django_workflows.core.workflow import Workflow, registry
from django_workflows.exceptions import ConfigurationError
from django_workflows.runners.threads import DjangoThreads

Driven = Engine | WorkflowDefinition | type[Workflow]


def engine_of(driven: Driven, store: Store | None) -> Engine:
    """Return the engine itself, or one for a workflow and a store. Raise ConfigurationError."""
    if isinstance(driven, Engine):
        return driven
    if store is None:
        raise ConfigurationError("A runner takes an engine, or a workflow and a store.")
    definition = driven if isinstance(driven, WorkflowDefinition) else driven.definition
    return Engine(definition, store, threads=DjangoThreads(), lookup=registry.__getitem__)


logger = logging.getLogger("django_workflows")


class Adapter(ABC):
    """
    Lets somebody know that an execution is pending.

    What rings may be lost, and may ring twice: the claim decides who drives. A job carries the
    execution's id and nothing else. ``drive(execution_id)`` is what a worker must call.
    """

    def __init__(self, drive: Callable[[str], object], **options: Any) -> None:
        self.drive = drive
        self.options = options

    @abstractmethod
    def dispatch(self, execution: Execution) -> None:
        """Ring for ``execution``. Called after the transaction that made it pending."""


def ring(store: Store, adapter: Adapter, execution: Execution) -> None:
    """
    Let ``adapter`` know of ``execution`` once what this thread has written is committed.

    A bell that is broken is logged and stops nobody: the supervisor finds what nobody drives.
    """

    def now() -> None:
        try:
            adapter.dispatch(execution)
        except Exception:
            logger.exception(
                "Execution %s of %s could not be dispatched; the next sweep will try again",
                execution.id,
                execution.workflow_id,
                extra={"execution_id": execution.id, "workflow_id": execution.workflow_id},
            )

    store.on_commit(now)

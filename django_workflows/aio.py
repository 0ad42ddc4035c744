"""The async twins of the public functions: each runs its twin in a thread."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections

from django_workflows import api
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.execution import Execution, ExecutionResult
from django_workflows.core.waits import InboxEvent


async def aload_workflow(*arguments: Any, **options: Any) -> WorkflowDefinition:
    """See load_workflow()."""
    return await sync_to_async(api.load_workflow)(*arguments, **options)


async def astart(*arguments: Any, **options: Any) -> Execution:
    """See start()."""
    return await sync_to_async(api.start)(*arguments, **options)


async def arun(*arguments: Any, **options: Any) -> ExecutionResult:
    """See run()."""
    return await sync_to_async(api.run)(*arguments, **options)


async def aresume(*arguments: Any, **options: Any) -> Execution | ExecutionResult:
    """See resume()."""
    return await sync_to_async(api.resume)(*arguments, **options)


async def acancel(*arguments: Any, **options: Any) -> Execution:
    """See cancel()."""
    return await sync_to_async(api.cancel)(*arguments, **options)


async def aretry(*arguments: Any, **options: Any) -> Execution:
    """See retry()."""
    return await sync_to_async(api.retry)(*arguments, **options)


async def askip(*arguments: Any, **options: Any) -> Execution:
    """See skip()."""
    return await sync_to_async(api.skip)(*arguments, **options)


async def afork(*arguments: Any, **options: Any) -> Execution:
    """See fork()."""
    return await sync_to_async(api.fork)(*arguments, **options)


async def aget(execution_id: str) -> Execution:
    """See get()."""
    return await sync_to_async(api.get)(execution_id)


async def asend_event(*arguments: Any, **options: Any) -> InboxEvent:
    """See send_event()."""
    return await sync_to_async(api.send_event)(*arguments, **options)


async def await_(*arguments: Any, **options: Any) -> ExecutionResult:
    """See wait(). Named so as "await" is a keyword."""
    return await sync_to_async(_wait, thread_sensitive=False)(*arguments, **options)


def _wait(*arguments: Any, **options: Any) -> ExecutionResult:
    try:
        return api.wait(*arguments, **options)
    finally:
        connections.close_all()  # this thread's own, which nobody else would close


async def aexplain(*arguments: Any, **options: Any) -> str:
    """See explain()."""
    return await sync_to_async(api.explain)(*arguments, **options)

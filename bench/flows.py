"""The workflows that several processes of a measure know."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from typing import Any

#: How long steps wait for something outside, in seconds.
SECOND = 1.0


def nothing() -> None:
    """Do nothing, with effect."""


def wait() -> None:
    """Wait for something outside, in a thread."""
    time.sleep(SECOND)


async def await_() -> None:
    """Wait for something outside, on a loop."""
    await asyncio.sleep(SECOND)


@cache
def waiting(work: Any) -> Any:
    """Return a registered workflow of one step that waits for a second by ``work``."""
    from django_workflows import Workflow, register
    from django_workflows.steps import Call

    return register(
        type("Waits", (Workflow,), {"id": f"bench-{work.__name__}", "work": Call(work)})
    )


@cache
def steps(count: int) -> Any:
    """Return a registered workflow of ``count`` no-op steps with effects."""
    from django_workflows import Workflow, register
    from django_workflows.steps import Call

    made = {f"step_{number}": Call(nothing) for number in range(count)}
    return register(type("Steps", (Workflow,), {"id": f"bench-{count}", **made}))

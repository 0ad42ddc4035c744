"""What a step raises that is no Exception, and whose end that is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from traceback import walk_tb
from types import FrameType
from typing import Any, TypeVar

from django_workflows.exceptions import StepError, describe

T = TypeVar("T")

#: Past every ``except Exception``, as a library that parses a command line leaves a step.
ESCAPES = (SystemExit, asyncio.CancelledError)


def contained(name: str, work: Callable[[], T]) -> T:
    """
    Return what ``work``, of the step ``name``, returns. Raise StepError where it would exit.

    Such an exit would end the driver, and after it each next one. One by a signal's handler is
    meant for the process: it passes, and another process does the step again.
    """
    try:
        return work()
    except ESCAPES as error:
        if isinstance(error, SystemExit) and _is_from_signal(error):
            raise
        raise StepError(f"Step {name!r} raised {describe(error)}") from error


def _is_from_signal(error: BaseException) -> bool:
    return any(_handles_signal(frame) for frame, _ in walk_tb(error.__traceback__))


def _handles_signal(frame: FrameType) -> bool:
    # A handler is given the frame that it interrupts, and is called from there.
    interrupted = frame.f_back
    return interrupted is not None and any(
        value is interrupted for value in _flat(frame.f_locals.values())
    )


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        yield from value if isinstance(value, tuple) else (value,)

"""The contract of a verb."""

from __future__ import annotations

from abc import ABC, abstractmethod
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from django_workflows.core.execution import ExecutionStatus
from django_workflows.management.screens import Output

__all__ = ["Code", "Output", "Verb", "code_of", "named", "positive", "seconds"]


class Code(IntEnum):
    """What the command's end tells the shell."""

    DONE = 0
    FAILED = 1  # an error, or an execution that failed or was cancelled
    MISUSED = 2  # the line, the input or the question does not fit
    HALTED = 3  # the execution stands, and waits
    NOT_ALLOWED = 4
    NOT_FOUND = 5  # no such execution, workflow or user
    CONFLICT = 6  # its status does not allow this, or somebody was quicker
    TIMED_OUT = 124  # as timeout(1) says it
    INTERRUPTED = 130  # by Ctrl-C, as shells say it
    NOBODY_READS = 141  # the other end of the pipe was closed, as shells say it


def code_of(status: ExecutionStatus) -> Code:
    """Return what the status of an execution is for a shell; under way is well."""
    if status in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}:
        return Code.FAILED
    return Code.HALTED if status == ExecutionStatus.HALTED else Code.DONE


class Verb(ABC):
    """One thing that ``manage.py workflows`` can be told to do. Its docstring is its help."""

    def add_arguments(self, parser: ArgumentParser) -> None:  # noqa: B027  many have none
        """Say what may follow on the command line."""

    @abstractmethod
    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """Do it and return the exit code. Raise WorkflowError."""


def named(text: str) -> str:
    """Return ``text``, which must not be empty; for argparse."""
    if not text.strip():
        raise ArgumentTypeError("a name must not be empty")
    return text


def positive(text: str) -> int:
    """Return ``text`` as a number of at least 1; for argparse."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 18 or int(text) < 1:  # noqa: PLR2004
        raise ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def seconds(text: str) -> float:
    """Return ``text`` as a number of seconds; for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ArgumentTypeError(f"{text!r} is no number of seconds of at least 0")
    return number

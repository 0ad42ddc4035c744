"""The contract of a verb."""

from __future__ import annotations

from abc import ABC, abstractmethod
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from typing import Any, Protocol


class Output(Protocol):
    """What a verb writes its lines to: the command's ``stdout``."""

    def write(self, text: str = "") -> object:
        """Write one line."""

    def flush(self) -> object:
        """Let what was written be read."""


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
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)

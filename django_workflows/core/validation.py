"""Everything that is wrong with a definition, as a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_workflows.core.definition import WorkflowDefinition


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a stable id for ``manage.py check``, and a sentence."""

    id: str
    message: str


def problems(definition: WorkflowDefinition) -> list[Problem]:
    """Return every problem of ``definition``."""
    return []

"""What a checkpoint has to write, told from what its caller knows to be stored."""

from __future__ import annotations

from dataclasses import fields

from django_workflows.core.execution import Execution

_FIELDS = tuple(f.name for f in fields(Execution))


def changed_fields(execution: Execution, previous: Execution | None) -> tuple[str, ...]:
    """
    Return the names of the fields in which ``execution`` may differ from ``previous``.

    Without ``previous`` these are all. What is not named is left as it is stored, so a lease that
    was renewed since ``previous`` was read stays renewed.
    """
    if previous is None:
        return _FIELDS
    # By identity, because 1 == True == 1.0, and a type that changed is a change, too.
    return tuple(
        name for name in _FIELDS if getattr(execution, name) is not getattr(previous, name)
    )

"""evolve() does as dataclasses.replace()."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from django_workflows.core.execution import Entry, EntryAction, Execution, State
from django_workflows.core.frames import Cursor
from django_workflows.core.records import evolve
from django_workflows.core.waits import Wait, WaitKind

RECORDS = [
    (Execution(workflow_id="orders", ctx={"a": 1}), {"attempt": 2, "ctx": {}}),
    (State(execution_id="1", workflow_id="orders"), {"path": "each[1]/pay"}),
    (Cursor(at="pay", visits={"pay": 2}), {"at": None, "end": "end"}),
    (Entry(execution_id="1", step_id="pay", action=EntryAction.COMPLETED), {"sets": {}}),
    (Wait(execution_id="1", step="pay", kind=WaitKind.HALT), {"key": "x"}),
]


@pytest.mark.parametrize(("record", "changes"), RECORDS)
def test_changed_and_nothing_else(record, changes):
    before = replace(record)

    after = evolve(record, **changes)

    assert after == replace(record, **changes)
    assert type(after) is type(record)
    assert record == before


@pytest.mark.parametrize(("record", "changes"), RECORDS)
def test_what_is_not_changed_is_the_same_object(record, changes):
    after = evolve(record, **changes)

    for field in fields(record):
        if field.name not in changes:
            assert getattr(after, field.name) is getattr(record, field.name)


def test_copy_is_as_frozen():
    with pytest.raises(FrozenInstanceError):
        evolve(Cursor(), at="pay").at = "ship"


def test_field_that_is_not_there():
    with pytest.raises(TypeError, match="Cursor has no field att"):
        evolve(Cursor(), att="pay")

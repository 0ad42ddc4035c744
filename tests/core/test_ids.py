import uuid

import pytest

from django_workflows.core.ids import canonical, derived_id, new_id


def test_new_ids_are_uuids_of_version_7():
    value = uuid.UUID(new_id())

    assert value.version == 7
    assert value.variant == uuid.RFC_4122


def test_new_ids_begin_with_the_milliseconds(monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 0x018F_3F9E_ABCD * 1_000_000)

    assert new_id().startswith("018f3f9e-abcd-7")


def test_new_ids_differ():
    assert len({new_id() for _ in range(1000)}) == 1000


def test_derived_id_is_the_same_at_every_call():
    assert derived_id("parent", "step", "1") == derived_id("parent", "step", "1")
    assert uuid.UUID(derived_id("parent", "step")).version == 5


def test_derived_id_tells_where_a_part_ends():
    assert derived_id("ab", "c") != derived_id("a", "bc")


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("018F3F9E-0000-7000-8000-000000000000", "018f3f9e-0000-7000-8000-000000000000"),
        ("018f3f9e000070008000000000000000", "018f3f9e-0000-7000-8000-000000000000"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("no uuid", None),
        ("", None),
        (7, None),
        (None, None),
    ],
)
def test_canonical_form(value, form):
    assert canonical(value) == form

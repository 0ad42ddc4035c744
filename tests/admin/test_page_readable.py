from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from django_workflows.admin import readable as module
from django_workflows.admin.readable import readable
from django_workflows.core.codec import register_enum
from django_workflows.core.execution import ExecutionStatus

SCRIPT = "<script>alert(1)</script>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (3, '<span class="wf-number">3</span>'),
        (1.5, "1.5"),
        ("a & b", "a &amp; b"),
        ("", '<span class="wf-empty">&quot;&quot;</span>'),
        ({}, "{}"),
        ([], "[]"),
        ({"$dict": {"a": 1}}, "$dict"),  # a user's own key, not a tag
        (date(2026, 1, 31), "2026-01-31"),
        (datetime(2026, 1, 31, 10, tzinfo=UTC), "2026-01-31T10:00:00+00:00"),
        (
            datetime(2026, 1, 31, 10, tzinfo=ZoneInfo("Europe/Berlin")),
            "2026-01-31T10:00:00 Europe/Berlin",
        ),
        (timedelta(days=2, seconds=3.5), "2 d 3.5 s"),
        (Decimal("1.50"), '1.50</span> <span class="wf-kind">decimal</span>'),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (b"abc", "YWJj"),
        ((1, 2), "tuple"),
        ({1, 2}, "set"),
    ],
)
def test_value_is_shown(value, text):
    assert text in readable(value)


def test_enum_is_shown_by_its_name():
    register_enum(ExecutionStatus)

    assert "ExecutionStatus.FAILED" in readable(ExecutionStatus.FAILED)


@pytest.mark.parametrize("value", [SCRIPT, {SCRIPT: 1}, [SCRIPT], {"a": {SCRIPT: SCRIPT * 50}}])
def test_all_text_is_escaped(value):
    shown = readable(value)

    assert SCRIPT not in shown
    assert "&lt;script&gt;" in shown


def test_small_is_open_and_large_is_folded():
    small = readable({"a": {"b": 1}})
    large = readable({"a": list(range(50))})

    assert small.count(" open") == 2
    assert large.count(" open") == 1  # the whole itself
    assert "50 items" in large


def test_keys_of_folds_are_their_places():
    assert 'data-key="$.a.0"' in readable({"a": [[1]]})


def test_of_a_long_list_the_beginning_is_shown(monkeypatch):
    monkeypatch.setattr(module, "MOST_ITEMS", 3)

    shown = readable(list(range(10)))

    assert shown.count("wf-number") == 3
    assert "7 more, not shown" in shown


def test_long_text_is_folded():
    shown = readable("word " * 100)

    assert "500 characters" in shown
    assert "<details" in shown


def test_the_whole_of_a_huge_value_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST_VALUES", 20)

    shown = readable([[number] * 5 for number in range(50)])

    assert shown.count("wf-number") <= 20
    assert "not shown" in shown

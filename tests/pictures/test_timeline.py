"""When what happened, as bars and as a picture."""

from datetime import timedelta

import pytest

from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.waits import WaitKind, WaitStatus
from django_workflows.pictures import timeline
from tests.factories import EntryFactory, ExecutionFactory, WaitFactory
from tests.pictures.conftest import (
    NOON,
    SVG,
    assert_is_harmless,
    bar,
    later,
    of_kind,
    parsed,
    shapes,
    texts,
    titles,
)


def entry(action="completed", at=10, took=None, **more):
    milliseconds = None if took is None else round(took * 1000)
    facts = {"action": EntryAction(action), "timestamp": later(at), "duration_ms": milliseconds}
    return EntryFactory(**facts, **more)


def wait(kind="approval", status="open", since=10, until=None, **more):
    settled = None if until is None else later(until)
    facts = {"kind": WaitKind(kind), "status": WaitStatus(status), "opened_at": later(since)}
    return WaitFactory(**facts, settled_at=settled, **more)


def told(entries=(), waits=(), **execution):
    return timeline.bars(ExecutionFactory(**execution), entries, waits, now=later(100))


# Bars -------------------------------------------------------------------------------------------


def test_a_duration_that_was_rounded_up_puts_no_bar_before_the_one_it_follows():
    look = entry(at=10, took=0, step_id="look")
    size = entry(at=10.0002, took=0, step_id="size")
    order = entry(at=10.0008, took=0.001, step_id="order")

    found = told([look, size, order])

    assert [bar.step for bar in found] == ["look", "size", "order"]
    assert (found[2].begins, found[2].ends) == (later(10.0002), later(10.0008))


def test_bars_side_by_side_begin_when_they_did():
    found = told([entry(at=10, took=1, step_id="a"), entry(at=11, took=5, step_id="b")])

    assert [(bar.step, bar.begins) for bar in found] == [("b", later(6)), ("a", later(9))]


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("completed", "work"),
        ("compensated", "work"),
        ("failed", "failed"),
        ("timed_out", "failed"),
        ("abandoned", "failed"),
        ("skipped", "skipped"),
    ],
)
def test_an_entry_is_a_bar_that_ends_when_it_was_written(action, kind):
    [found] = told([entry(action, at=10, took=2.5, step_id="each[3]/charge", attempt=2)])

    assert (found.step, found.kind, found.attempt) == ("each[3]/charge", kind, 2)
    assert (found.begins, found.ends) == (later(7.5), later(10))


def test_an_attempt_that_failed_says_why():
    [found] = told([entry("retried", took=1, error="Refused: the card\nis expired")])

    assert found.kind == "failed"
    assert found.label == "failed, and was attempted again: Refused: the card is expired"


@pytest.mark.parametrize("action", ["resumed", "cancelled", "forked", "reminded", "retried"])
def test_what_a_person_did_takes_no_time(action):
    assert told([entry(action, by="ann")]) == []


def test_a_step_that_worked_before_it_halted_has_a_bar():
    [found] = told([entry("halted", took=3)])

    assert (found.kind, found.begins) == ("work", later(7))
    assert told([entry("halted", took=0)]) == []


def test_who_did_it_is_named():
    [found] = told([entry("skipped", by="ann")])

    assert found.label == "skipped by ann"


@pytest.mark.parametrize("kind", WaitKind)
def test_a_wait_lasts_until_it_was_answered(kind):
    [found] = told(waits=[wait(kind, "taken", since=10, until=60, step="review")])

    assert (found.step, found.kind) == ("review", "wait")
    assert (found.begins, found.ends) == (later(10), later(60))
    assert found.label


def test_an_open_wait_has_no_end():
    [found] = told(waits=[wait(since=10)])

    assert found.ends is None
    assert found.lasted(later(100)) == timedelta(seconds=90)


def test_a_wait_that_was_withdrawn_unanswered_has_an_end():
    [found] = told(waits=[wait(status="withdrawn", since=10)])

    assert found.ends == later(10)


def test_a_step_under_way_has_no_end():
    running = {"status": ExecutionStatus.RUNNING, "current_step": "ship", "attempt": 3}

    found = told([entry(at=10, took=1)], **running)

    assert [(one.step, one.begins, one.ends) for one in found] == [
        ("charge", later(9), later(10)),
        ("ship", later(10), None),
    ]
    assert found[1].attempt == 3


def test_the_first_step_under_way_began_with_the_execution():
    running = {"status": ExecutionStatus.RUNNING, "current_step": "ship"}

    [found] = told(started_at=later(5), created_at=NOON, **running)

    assert found.begins == later(5)


def test_bars_stand_in_the_order_in_which_they_begin():
    found = told([entry(at=50, took=1, step_id="b")], [wait(since=10, step="a")])

    assert [one.step for one in found] == ["a", "b"]


# The picture ------------------------------------------------------------------------------------


def test_states_show_by_shape():
    picture = timeline.svg(
        [
            bar("a", "work", 0, 1),
            bar("b", "failed", 1, 2),
            bar("c", "wait", 2, 30),
            bar("d", "skipped", 30, 30),
        ]
    )

    found = {kind: of_kind(picture, kind)[0] for kind in ("work", "failed", "wait", "skipped")}

    assert {kind: shapes(group) for kind, group in found.items()} == {
        "work": ["rect"],
        "failed": ["rect", "path"],  # a cross
        "wait": ["rect", "path"],  # hatched
        "skipped": ["rect"],  # dashed, and empty
    }
    assert found["skipped"].find(f"{SVG}rect").get("stroke-dasharray")
    assert found["wait"].find(f"{SVG}rect").get("fill") is None
    assert found["work"].find(f"{SVG}rect").get("fill")


def test_each_bar_says_what_it_is():
    picture = timeline.svg([bar("charge", "failed", 0, 2, attempt=2, label="failed: Refused")])

    [group] = of_kind(picture, "failed")

    title = group.find(f"{SVG}title").text
    assert title.startswith("charge: failed: Refused; ")
    assert "12:00:00" in title
    assert "2.0 s" in title
    assert title.endswith("attempt 2")


def test_what_lasts_still_says_since_when():
    picture = timeline.svg([bar("review", "wait", 0, None, label="waiting")], now=later(3700))

    assert any(title.startswith("review: waiting; since ") for title in titles(picture))
    assert any("1 h 1 min by now" in title for title in titles(picture))
    assert "1 h 1 min" in texts(picture)


def test_retries_stand_in_the_row_of_their_step():
    picture = timeline.svg([bar("a", "failed", 0, 1), bar("b", begins=1, ends=2), bar("a")])

    places = [
        group.find(f"{SVG}rect").get("y")
        for group in parsed(picture).iter(f"{SVG}g")
        if group.get("data-kind")
    ]

    assert texts(picture).count("a") == 1
    assert len(set(places)) == 2


def test_the_picture_has_a_name_and_is_harmless():
    picture = timeline.svg([bar(begins=0, ends=1), bar(kind="wait", begins=1, ends=90_000)])

    root = parsed(picture)
    assert root.get("role") == "img"
    assert root.get("aria-label") == titles(picture)[0]
    assert root.get("aria-label").startswith("Timeline from ")
    assert_is_harmless(picture)


def test_nothing_that_is_data_is_markup():
    hostile = "<script>alert(1)</script>\x00\ud800\"'&"

    picture = timeline.svg([bar(hostile, label=hostile)])

    assert "<script" not in picture
    assert any("<script>alert(1)</script>" in title for title in titles(picture))


def test_without_a_bar_it_says_so():
    assert texts(timeline.svg([])) == ["Timeline: nothing has happened yet"]


def test_of_many_steps_the_first_are_shown():
    picture = timeline.svg([bar(f"s{n}", begins=n, ends=n + 1) for n in range(103)])

    assert len(of_kind(picture, "work")) == timeline.MOST_ROWS
    assert "and 3 more steps" in texts(picture)


def test_of_many_bars_the_first_are_shown():
    picture = timeline.svg([bar("a", begins=n, ends=n + 1) for n in range(timeline.MOST_BARS + 5)])

    assert len(of_kind(picture, "work")) == timeline.MOST_BARS


def test_bars_stay_within_the_picture():
    picture = timeline.svg(
        [bar("a"), bar("b", "wait", 1, 900_000), bar("c", "failed", 900_000, 900_000)]
    )

    width = float(parsed(picture).get("width"))
    for rect in parsed(picture).iter(f"{SVG}rect"):
        assert 0 <= float(rect.get("x")) <= width - float(rect.get("width"))

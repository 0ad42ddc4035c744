"""How much was started, finished and failed, hour by hour."""

from datetime import timedelta

from django_workflows.pictures import chart
from tests.pictures.conftest import NOON, SVG, assert_is_harmless, hour, parsed, texts, titles


def bars(picture, kind):
    """Return the heights of the bars of a kind, without the one of the legend."""
    found = [
        float(rect.get("height"))
        for rect in parsed(picture).iter(f"{SVG}rect")
        if rect.get("class") == f"wf-{kind}"
    ]
    return found[1:]


def test_bars_are_as_high_as_there_are_many():
    picture = chart.svg([hour(started=10, finished=5), hour(started=20, failed=20)])

    assert bars(picture, "started") == [55, 110]
    assert bars(picture, "finished") == [27.5]
    assert bars(picture, "failed") == [110]


def test_one_among_many_is_still_seen():
    assert bars(chart.svg([hour(started=100_000, failed=1)]), "failed") == [3]


def test_kinds_show_by_shape():
    picture = chart.svg([hour(started=1, finished=1, failed=1)])

    started, finished, failed = (
        [one for one in parsed(picture).iter() if one.get("class") == f"wf-{kind}"]
        for kind in ("started", "finished", "failed")
    )

    assert [one.get("fill") for one in started] == [None, None]  # hollow, also in the legend
    assert all(one.get("fill") for one in finished)
    assert {one.tag for one in failed} == {f"{SVG}rect", f"{SVG}circle"}  # a cross on top


def test_each_hour_says_its_numbers():
    hours = [hour(started=1200, finished=2, failed=3, at=NOON + timedelta(hours=2))]

    assert "14:00: 1,200 started, 2 finished, 3 failed" in titles(chart.svg(hours))


def test_the_name_says_the_sums():
    picture = chart.svg([hour(started=1, finished=2, failed=3), hour(started=4)])

    name = "Executions in the last 2 hours: 5 started, 2 finished, 3 failed"
    assert parsed(picture).get("aria-label") == name
    assert titles(picture)[0] == name
    assert titles(chart.svg([hour()]))[0].startswith("Executions in the last hour: 0 started")


def test_every_third_hour_is_written_below():
    hours = [hour(at=NOON + timedelta(hours=n)) for n in range(7)]

    assert [word for word in texts(chart.svg(hours)) if ":" in word] == ["12:00", "15:00", "18:00"]


def test_nothing_at_all_is_a_picture_too():
    for hours in ([], [hour(), hour()]):
        picture = chart.svg(hours)

        assert bars(picture, "started") == []
        assert_is_harmless(picture)


def test_picture_is_harmless():
    assert_is_harmless(chart.svg([hour(started=5, finished=4, failed=1)] * 24))

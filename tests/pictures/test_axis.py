"""Where moments stand on a line."""

import pytest

from django_workflows.pictures.axis import MOST_WAITING, Axis
from tests.pictures.conftest import NOON, later


def axis(*spans):
    return Axis([(later(begins), later(ends), is_wait) for begins, ends, is_wait in spans], 100)


def test_work_stands_to_scale():
    line = axis((0, 10, False), (10, 40, False))

    assert [line.at(later(at)) for at in (0, 10, 40)] == [0, 25, 100]
    assert line.shortened == []


def test_a_short_wait_stands_to_scale():
    line = axis((0, 80, False), (80, 100, True))

    assert line.at(later(80)) == pytest.approx(80)
    assert line.shortened == []


def test_long_waits_leave_room_for_the_work():
    line = axis((0, 1, False), (1, 86_400, True), (86_400, 86_401, False))

    assert line.at(later(1)) == pytest.approx(50 * (1 - MOST_WAITING))
    assert line.at(later(86_400)) == pytest.approx(100 - 50 * (1 - MOST_WAITING))
    [(begin, end)] = line.shortened
    assert end - begin == pytest.approx(100 * MOST_WAITING)


def test_waits_alone_take_the_whole_line():
    line = axis((0, 50, True), (50, 100, True))

    assert [line.at(later(at)) for at in (0, 50, 100)] == [0, 50, 100]
    assert line.shortened == []


def test_work_while_something_waits_is_work():
    line = axis((0, 1000, True), (10, 20, False))

    work = line.at(later(20)) - line.at(later(10))

    assert work == pytest.approx(100 * (1 - MOST_WAITING))


def test_work_that_overlaps_is_counted_once():
    line = axis((0, 10, False), (5, 20, False))

    assert line.at(later(10)) == pytest.approx(50)


def test_what_lies_outside_stands_at_the_end():
    line = axis((0, 10, False))

    assert line.at(later(-5)) == 0
    assert line.at(later(99)) == 100


def test_a_single_moment_is_no_division_by_zero():
    line = Axis([(NOON, NOON, False)], 100)

    assert line.at(NOON) == 0


def test_places_never_go_back():
    line = axis(
        (0, 1, False), (1, 5000, True), (3, 4, False), (4999, 5003, False), (5003, 5003, True)
    )

    places = [line.at(later(at / 10)) for at in range(50_040)]

    assert places == sorted(places)
    assert places[-1] <= 100

"""How durations and moments read."""

from datetime import timedelta
from typing import get_args

import pytest

from django_workflows.core.graph.shapes import Mark
from django_workflows.pictures.drawing import COLOURS, duration, hatching, moment
from tests.pictures.conftest import NOON


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<1 ms"),  # clocks may be apart
        (0, "<1 ms"),
        (0.020, "20 ms"),
        (2.34, "2.3 s"),
        (60, "1 min"),
        (250, "4 min 10 s"),
        (3600, "1 h"),
        (7260, "2 h 1 min"),
        (86_400, "1 d"),
        (183_600, "2 d 3 h"),
    ],
)
def test_duration(seconds, text):
    assert duration(timedelta(seconds=seconds)) == text


def test_moment_is_told_in_the_readers_zone(settings):
    settings.TIME_ZONE = "Europe/Berlin"

    assert moment(NOON) == "March 1, 2026 13:00:00"


def test_hatching_stays_within():
    numbers = [
        tuple(map(float, point[1:].split(","))) for point in hatching(10, 20, 30, 14).split(" ")
    ]

    assert all(10 <= x <= 40 and 20 <= y <= 34 for x, y in numbers)
    assert hatching(0, 0, 2, 2) == ""


def test_every_mark_has_a_colour():
    assert {*COLOURS} == {*get_args(Mark)} - {""}

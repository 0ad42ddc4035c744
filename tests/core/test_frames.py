import json

import pytest

from django_workflows.core.frames import (
    BranchFrame,
    BranchStatus,
    Cursor,
    LoopFrame,
    ParallelFrame,
    StepFrame,
    frame_from_dict,
)
from tests.values import SAMPLES, exact

VALUES = tuple(SAMPLES.values())

LOOP = LoopFrame(
    index=2, items=VALUES, results=VALUES, hidden=SAMPLES, body=Cursor(at="pay", attempt=3)
)
WHILE = LoopFrame(index=1, body=Cursor(end="break", output=SAMPLES))
BRANCH = BranchFrame(
    status=BranchStatus.HALTED,
    body=Cursor(at="review", frame=StepFrame(data=SAMPLES, halted=True)),
    changes=SAMPLES,
    removed=("item",),
    output=SAMPLES,
    error="ValueError: x",
)
PARALLEL = ParallelFrame(
    branches={
        "b": BRANCH,
        "a": BranchFrame(status=BranchStatus.RUNNING, body=Cursor(at="each", frame=LOOP)),
    }
)


def through_json(frame):
    return frame_from_dict(json.loads(json.dumps(frame.to_dict())))


@pytest.mark.parametrize("frame", [LOOP, WHILE, PARALLEL, StepFrame(), StepFrame(data={"a": (1,)})])
def test_frame_round_trips(frame):
    assert through_json(frame) == frame


def test_values_in_frames_keep_their_types():
    again = through_json(PARALLEL)

    assert exact(again.branches["b"].changes) == exact(SAMPLES)
    assert exact(again.branches["a"].body.frame.items) == exact(VALUES)


def test_branches_keep_their_order():
    assert list(through_json(PARALLEL).branches) == ["b", "a"]


@pytest.mark.parametrize(
    "cursor",
    [
        Cursor(),
        Cursor(at="pay"),
        Cursor(
            at="pay",
            attempt=2,
            frame=LOOP,
            last="total",
            output=SAMPLES,
            visits={"pay": 2},
            rescue=True,
            end="continue",
            retries=2,
        ),
    ],
)
def test_cursor_round_trips(cursor):
    assert Cursor.from_dict(json.loads(json.dumps(cursor.to_dict()))) == cursor


def test_fresh_cursor_takes_no_room():
    assert Cursor().to_dict() == {}


@pytest.mark.parametrize(
    ("cursor", "result"),
    [
        (Cursor(), None),
        (Cursor(last="total"), 7),
        (Cursor(last="gone"), None),
        (Cursor(output="kept without a key"), "kept without a key"),
    ],
)
def test_result_of_a_scope(cursor, result):
    assert cursor.result({"total": 7}) == result

import time
from datetime import timedelta

import pytest

from django_workflows.core import clock
from django_workflows.core.engine.heartbeat import Beat, Heartbeat, _start_anew, heartbeat
from django_workflows.core.engine.limits import Limits
from django_workflows.steps import Call
from tests.core import flows


@pytest.fixture
def beating():
    return Heartbeat()


def beat(renew, every=0.01, clean_up=lambda: None):
    return Beat(renew=renew, every=every, clean_up=clean_up)


def until(condition, seconds=5):
    """Wait for what another thread will make true."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it never came true"
        time.sleep(0.005)


def test_lease_is_renewed_as_long_as_the_block_runs(beating):
    renewed, cleaned = [], []

    with beating.keep(beat(lambda: renewed.append(1), clean_up=lambda: cleaned.append(1))):
        until(lambda: len(renewed) >= 3)

    until(lambda: beating._thread is None)
    assert len(cleaned) == len(renewed)


def test_block_that_ends_soon_is_never_renewed(beating):
    renewed = []

    with beating.keep(beat(lambda: renewed.append(1), every=30)):
        pass

    assert renewed == []


def test_thread_sleeping_long_is_woken_for_a_shorter_lease(beating):
    renewed = []

    with beating.keep(beat(lambda: None, every=30)), beating.keep(beat(lambda: renewed.append(1))):
        until(lambda: renewed)


def test_longer_lease_joins_a_thread_that_beats_already(beating):
    renewed = []

    with beating.keep(beat(lambda: renewed.append(1))):
        thread = beating._thread
        with beating.keep(beat(lambda: None, every=30)):
            until(lambda: len(renewed) >= 2)
            assert beating._thread is thread


def test_lease_that_cannot_be_renewed_is_logged_and_tried_again(beating, caplog):
    tried = []

    def renew():
        tried.append(1)
        raise ConnectionError("no database")

    with beating.keep(beat(renew)):
        until(lambda: len(tried) >= 2)

    assert "A lease could not be renewed" in caplog.text


def test_step_longer_than_its_lease_keeps_it(store):
    seen = []

    def work(state):
        until(lambda: store.load(state.execution_id).lease_expires_at > clock.now())
        before = store.load(state.execution_id).lease_expires_at
        until(lambda: store.load(state.execution_id).lease_expires_at > before)
        seen.append(store.claim(state.execution_id, "another", timedelta(seconds=1)))

    limits = Limits(lease=timedelta(seconds=0.4))

    result = flows.run(Call(work), store=store, limits=limits)

    assert result.status == "completed"
    assert seen == [None]


def test_forked_child_starts_without_a_thread():
    heartbeat._thread = object()

    _start_anew()

    assert heartbeat._thread is None

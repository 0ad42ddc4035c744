import contextvars
import threading
import time

import pytest

from django_workflows.core.engine.threads import OutOfTime, Threads

current = contextvars.ContextVar("current")


class Counting(Threads):
    """Counts the threads that were cleaned up after."""

    def __init__(self, *args):
        super().__init__(*args)
        self.cleaned = []

    def clean_up(self):
        self.cleaned.append(threading.current_thread())


class Forbidden(Threads):
    def allowed(self):
        return False


def never():
    return False


def test_tasks_run_at_once():
    meeting = threading.Barrier(3, timeout=5)

    Threads().together([meeting.wait] * 3, never)

    assert not meeting.broken


@pytest.mark.parametrize("threads", [Threads(0), Threads(1), Forbidden()])
def test_tasks_run_in_turn_in_the_same_thread(threads):
    ran = []

    threads.together(
        [lambda n=n: ran.append((n, threading.current_thread())) for n in (1, 2)], never
    )

    here = threading.current_thread()
    assert ran == [(1, here), (2, here)]


def test_single_task_needs_no_thread():
    ran = []

    Threads().together([lambda: ran.append(threading.current_thread())], never)

    assert ran == [threading.current_thread()]


def test_tasks_in_turn_stop_once_there_is_enough():
    ran = []

    Threads(0).together([lambda n=n: ran.append(n) for n in (1, 2, 3)], lambda: len(ran) >= 2)

    assert ran == [1, 2]


def test_what_a_task_raises_comes_once_all_have_come_to_rest():
    rested = []

    def fail():
        raise KeyError("x")

    def rest():
        time.sleep(0.02)
        rested.append(True)

    with pytest.raises(KeyError):
        Threads().together([fail, rest], never)
    assert rested == [True]


def test_every_thread_is_cleaned_up_after():
    threads = Counting()

    threads.together([lambda: None] * 2, never)
    threads.within(lambda: None, 5)

    assert len(threads.cleaned) == 3
    assert threading.current_thread() not in threads.cleaned


def test_context_variables_reach_the_threads():
    current.set("here")
    seen = []

    Threads().together([lambda: seen.append(current.get())] * 2, never)

    assert seen == ["here", "here"]
    assert Threads().within(current.get, 5) == "here"


def test_within_returns_what_the_work_returns():
    assert Threads().within(lambda: 7, 5) == 7


def test_within_raises_once_the_time_is_up():
    done = threading.Event()

    with pytest.raises(OutOfTime):
        Threads().within(lambda: done.wait(5), 0.01)

    done.set()


@pytest.mark.parametrize("error", [TimeoutError, KeyError, SystemExit])
def test_within_passes_on_what_the_work_raises(error):
    def fail():
        raise error("own")

    with pytest.raises(error, match="own") as caught:
        Threads().within(fail, 5)

    assert not isinstance(caught.value, OutOfTime)

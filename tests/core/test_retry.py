from datetime import timedelta

import pytest

from django_workflows.core.retry import ONCE, Retry, seconds
from django_workflows.exceptions import OutputError, PayloadError, StepTimeout


def unstorable():
    error = OutputError("a value that cannot be kept")
    error.__cause__ = PayloadError("x", "no")
    return error


@pytest.mark.parametrize(
    ("policy", "error", "attempt", "wanted"),
    [
        (Retry(attempts=3), ValueError(), 1, True),
        (Retry(attempts=3), ValueError(), 2, True),
        (Retry(attempts=3), ValueError(), 3, False),  # that was the last
        (ONCE, ValueError(), 1, False),
        (Retry(on=(KeyError,)), KeyError(), 1, True),
        (Retry(on=(LookupError,)), KeyError(), 1, True),  # a subclass
        (Retry(on=(KeyError,)), ValueError(), 1, False),
        (Retry(give_up=(KeyError,)), KeyError(), 1, False),
        (Retry(on=(LookupError,), give_up=(KeyError,)), IndexError(), 1, True),
        (Retry(), StepTimeout("it", 1), 1, True),
        (Retry(), PayloadError("x", "no"), 1, False),  # would be refused each time
        (Retry(), unstorable(), 1, False),
    ],
)
def test_wants_another_attempt(policy, error, attempt, wanted):
    assert policy.wants(error, attempt) is wanted


@pytest.mark.parametrize(
    ("policy", "pauses"),
    [
        (Retry(), [1, 2, 4]),
        (Retry(delay=3, backoff=1), [3, 3, 3]),
        (Retry(delay=timedelta(minutes=1), backoff=3), [60, 180, 540]),
        (Retry(delay=1, backoff=10, max_delay=50), [1, 10, 50]),
        (Retry(delay=1, backoff=10, max_delay=timedelta(seconds=5)), [1, 5, 5]),
        (Retry(delay=0), [0, 0, 0]),
    ],
)
def test_pause_after_each_attempt(policy, pauses):
    assert [policy.pause(attempt) for attempt in (1, 2, 3)] == pauses


def test_pause_that_overflows_is_the_longest_allowed():
    assert Retry(attempts=9999, max_delay=60).pause(5000) == 60


def test_jitter_shortens_the_pause_by_its_share():
    pauses = {Retry(delay=100, jitter=0.25).pause(1) for _ in range(200)}

    assert len(pauses) > 1
    assert all(75 <= pause <= 100 for pause in pauses)


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        (Retry(attempts=0), "retry attempts must be at least 1, not 0"),
        (Retry(delay=-1), "retry delays must not be negative"),
        (Retry(max_delay=-1), "retry delays must not be negative"),
        (Retry(max_delay=1e12), "retry delays must be at most 100 years"),
        (Retry(delay=timedelta.max), "retry delays must be at most 100 years"),
        (Retry(backoff=0), "retry backoff must be positive, not 0"),
        (Retry(jitter=1.5), "retry jitter must lie between 0 and 1, not 1.5"),
    ],
)
def test_problem_of_a_policy(policy, problem):
    assert policy.problems() == [problem]


def test_sound_policy_has_no_problems():
    assert Retry().problems() == []


@pytest.mark.parametrize("value", [90, 90.0, timedelta(minutes=1, seconds=30)])
def test_seconds(value):
    assert seconds(value) == 90.0

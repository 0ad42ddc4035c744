import asyncio
import time
from datetime import timedelta
from threading import Event

import pytest
from django.db.models import F

from django_workflows.core.engine.threads import Threads
from django_workflows.core.steps import Call, End, step
from django_workflows.core.workflow import Workflow
from django_workflows.exceptions import StepTimeout
from tests.core.flows import run


class InThisThread(Threads):
    """As where another thread would not see the data, such as inside a TestCase."""

    def allowed(self):
        return False


def test_step_that_takes_too_long_fails_and_its_late_result_is_not_used(store):
    late = Event()
    ended = Event()

    def work():
        late.wait(5)
        ended.set()
        return "late"

    result = run(Call(work, timeout=0.02), store=store)
    late.set()
    ended.wait(5)

    assert isinstance(result.exception, StepTimeout)
    assert result.error == "StepTimeout: Step 'it' took longer than its timeout of 0.02 s."
    assert store.load(result.execution_id).ctx == {}


def test_timeout_may_be_a_timedelta():
    result = run(Call(lambda: time.sleep(0.1), timeout=timedelta(milliseconds=10)))

    assert result.error.startswith("StepTimeout")


def test_asynchronous_step_that_takes_too_long_is_cancelled():
    ended = []

    async def work():
        try:
            await asyncio.sleep(5)
        finally:
            ended.append(True)

    result = run(Call(work, timeout=0.02))

    assert result.error == "StepTimeout: Step 'it' took longer than its timeout of 0.02 s."
    assert ended == [True]


def test_step_that_is_quick_enough():
    class Quick(Workflow):
        @step(timeout=5)
        def plain(self):
            return 1

        @step(timeout=5)
        async def waiting(self):
            return 2

        done = End(result=F("ctx"))

    assert run(Quick).output == {"plain": 1, "waiting": 2}


@pytest.mark.parametrize("options", [{}, {"timeout": 5}, {"timeout": 5, "atomic": True}])
def test_timeout_error_of_the_step_itself_is_not_ours(options):
    def work():
        raise TimeoutError("the bank does not answer")

    async def waiting():
        raise TimeoutError("the bank does not answer")

    for service in (work, waiting):
        result = run(Call(service, **options))

        assert result.error == "TimeoutError: the bank does not answer"
        assert type(result.exception) is TimeoutError


def test_atomic_step_that_took_too_long_is_rolled_back_when_it_returns(store):
    def work(state):
        store.remember_graph("written", "by the step", {})
        time.sleep(0.03)

    result = run(Call(work, atomic=True, timeout=0.01), store=store)

    assert result.error.startswith("StepTimeout")
    assert store.graph("written", "by the step") is None


def test_timeout_is_noticed_at_the_end_where_no_thread_may_be_used():
    result = run(Call(lambda: time.sleep(0.03), timeout=0.01), threads=InThisThread())

    assert result.error.startswith("StepTimeout")
    assert run(Call(lambda: 7, timeout=5), threads=InThisThread()).output == 7

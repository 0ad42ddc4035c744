import threading
import time

import pytest

from django_workflows.core.engine import Engine
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import AlreadyResumed, ExecutionNotFound
from django_workflows.runners.async_ import Async
from django_workflows.runners.base import Adapter
from django_workflows.runners.inline import InlineAdapter
from django_workflows.steps import Approval, Call, Halt, SubWorkflow
from django_workflows.stores.memory import MemoryStore
from django_workflows.stores.orm import OrmStore
from tests.bells import BrokenBell, DoubleBell, SilentBell


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def counted(registered):
    return registered("counted", work=Call(lambda: 1))


class Later(Adapter):
    """A worker that comes a little later, in a thread of its own."""

    def dispatch(self, execution):
        def work():
            time.sleep(self.options["delay"])
            self.drive(execution.id)

        self.thread = threading.Thread(target=work)
        self.thread.start()


def later(engine, delay):
    return Async(engine, adapter=Later(engine.drive, delay=delay))


def test_without_an_adapter_it_is_driven_inline(counted, store):
    runner = Async(counted, store)

    execution = runner.run({}, idempotency_key="one")

    assert isinstance(runner.adapter, InlineAdapter)
    assert execution.status == ExecutionStatus.PENDING
    assert runner.status(execution.id) == ExecutionStatus.COMPLETED
    assert runner.wait(execution.id).output == 1


def test_same_key_again_rings_for_nobody_who_has_ended(counted, store):
    runner = Async(counted, store)
    first = runner.run(idempotency_key="one")

    assert runner.run(idempotency_key="one").status == ExecutionStatus.COMPLETED
    assert store.load(first.id).fence == 1


def test_adapter_is_told_who_is_pending(counted, store):
    engine = Engine(counted.definition, store)
    runner = Async(engine, adapter=SilentBell(engine.drive))

    execution = runner.run()

    assert runner.status(execution.id) == ExecutionStatus.PENDING


def test_adapter_that_rings_twice_does_no_harm(counted, store):
    engine = Engine(counted.definition, store)

    execution = Async(engine, adapter=DoubleBell(engine.drive)).run()

    assert store.load(execution.id).fence == 1


def test_adapter_that_is_broken_does_no_harm(counted, store, caplog):
    engine = Engine(counted.definition, store)

    execution = Async(engine, adapter=BrokenBell(engine.drive)).run()

    assert store.load(execution.id).status == ExecutionStatus.PENDING
    assert f"Execution {execution.id} of counted could not be dispatched" in caplog.text
    assert "no broker answers" in caplog.text


def test_resume_records_the_answer_and_rings(registered, store):
    runner = Async(registered("asked", ask=Halt("?"), again=Halt("?")), store)
    execution = runner.run()

    answered = runner.resume(execution.id, 7, by="alice")
    runner.resume(execution.id, response=8, step="again")

    assert answered.status == ExecutionStatus.PENDING
    assert runner.wait(execution.id).output == 8
    with pytest.raises(AlreadyResumed, match="by alice"):
        runner.resume(execution.id, 9, step="ask")


def test_resume_rings_for_nobody_while_more_answers_are_wanted(registered, store):
    runner = Async(registered("asked", ask=Approval("?", required=2)), store)
    execution = runner.run()

    assert runner.resume(execution.id, approved=True, by="alice").status == ExecutionStatus.HALTED


def test_resume_of_a_parent_answers_its_child_and_returns_the_parent(registered, store):
    registered("child", ask=Halt("?"))
    runner = Async(registered("parent", kid=SubWorkflow("child")), store)
    execution = runner.run()

    child = Async(registered_engine("child", store))
    runner.adapter = child.adapter  # a worker drives each by its own workflow
    answered = runner.resume(execution.id, 7)

    assert answered.id == execution.id
    assert runner.wait(execution.id).output == 7


def registered_engine(name, store):
    from django_workflows import registry

    return Engine(registry[name], store, lookup=registry.__getitem__)


def test_wait_returns_once_a_worker_is_done(counted, store):
    runner = later(Engine(counted.definition, store), delay=0.1)
    execution = runner.run()

    result = runner.wait(execution.id, timeout=10, interval=0.01)

    runner.adapter.thread.join()
    assert result.output == 1


def test_wait_returns_what_halts(registered, store):
    runner = Async(registered("asked", ask=Halt("?")), store)

    assert runner.wait(runner.run().id).status == ExecutionStatus.HALTED


def test_wait_gives_up_after_its_timeout(counted, store):
    engine = Engine(counted.definition, store)
    runner = Async(engine, adapter=SilentBell(engine.drive))
    execution = runner.run()
    began = time.monotonic()

    with pytest.raises(TimeoutError, match=f"{execution.id} is pending still, after 0.1 s"):
        runner.wait(execution.id, timeout=0.1, interval=0.01)

    assert 0.1 <= time.monotonic() - began < 5


@pytest.mark.parametrize("ask", ["status", "wait", "resume"])
def test_unknown_execution(counted, store, ask):
    with pytest.raises(ExecutionNotFound):
        getattr(Async(counted, store), ask)("nobody")


@pytest.mark.django_db(transaction=True)
def test_on_the_database_it_is_driven_once_the_transaction_commits(counted):
    from django.db import transaction

    runner = Async(counted, OrmStore())

    with transaction.atomic():
        execution = runner.run()
        assert runner.status(execution.id) == ExecutionStatus.PENDING

    assert runner.status(execution.id) == ExecutionStatus.COMPLETED

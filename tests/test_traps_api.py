"""Traps that the first implementation of such an engine fell into, met with real threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import Group, User
from django.db import connections

from django_workflows import Retry, api, cancel, resume, run, send_event, start, wiring
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.waits import Cause
from django_workflows.exceptions import AlreadyResumed, NotAllowed, WorkflowError
from django_workflows.steps import Approval, Call, End, Halt, Loop, Parallel, WaitForEvent
from django_workflows.supervisor import sweep

pytestmark = pytest.mark.django_db(transaction=True)


def together(*works):
    """Return what each of ``works`` returned or raised, begun at once in threads."""
    barrier = threading.Barrier(len(works), timeout=30)

    def attempt(work):
        try:
            barrier.wait()
            return work()
        except WorkflowError as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(attempt, works))


@pytest.fixture
def silent(settings):
    """A queue that delivers nothing: the test itself is the worker."""
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.SilentBell"}}


def test_approval_timeout_that_never_fires(registered, travel):
    workflow = registered(
        "overdue",
        review=Approval("?", timeout=60, on_timeout="refuse"),
        end=End(result="approved"),
        refuse=Call(lambda: "refused"),
    )
    halted = run(workflow)
    assert sweep() == 0
    travel(61)

    assert sweep() == 1

    assert api.get(halted.execution_id).result == "refused"
    assert wiring.store().waits(halted.execution_id)[0].answer.cause == Cause.TIMEOUT


def test_approvers_stored_and_never_checked(registered):
    mallory = User.objects.create_user("mallory")
    Group.objects.create(name="managers")
    halted = run(registered("guarded", review=Approval("?", approvers=["group:managers"])))

    for by in (mallory, "mallory", None):
        with pytest.raises(NotAllowed):
            resume(halted.execution_id, approved=True, by=by)

    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED


def test_resuming_what_is_not_halted(registered):
    done = run(registered("done", work=Call(lambda: 1)))

    with pytest.raises(WorkflowError, match="it is completed and nothing waits"):
        resume(done.execution_id, response=1)

    assert api.get(done.execution_id).status == ExecutionStatus.COMPLETED


@pytest.mark.parametrize("adapter", ["tests.bells.SilentBell", "tests.bells.DoubleBell"])
def test_two_resumes_that_both_run(registered, settings, adapter):
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": adapter}}
    calls = []
    workflow = registered(
        "raced", review=Approval("?"), work=Call(lambda: calls.append(1)), end=End(result=1)
    )
    halted = run(workflow).execution_id

    answers = together(
        lambda: resume(halted, approved=True, by="alice", wait=True),
        lambda: resume(halted, approved=False, by="bob", wait=True),
    )

    (late,) = [answer for answer in answers if isinstance(answer, AlreadyResumed)]
    settled = wiring.store().waits(halted)[0].answer
    assert (late.by, late.at) == (settled.by, settled.at)
    assert len(calls) == (settled.by == "alice")
    actions = [entry.action for entry in wiring.store().entries(halted)]
    assert actions.count(EntryAction.RESUMED) == 1


def test_queue_that_delivers_a_start_twice(registered, silent):
    calls = []

    def work():
        calls.append(1)
        time.sleep(0.05)

    execution = start(registered("doubled", work=Call(work)))

    driven = together(*[lambda: wiring.drive(execution.id)] * 2)

    assert calls == [1]
    assert [result.status for result in driven if result] == [ExecutionStatus.COMPLETED]
    assert api.get(execution.id).fence == 1


def test_queue_that_delivers_everything_twice(registered, settings):
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.DoubleBell"}}
    calls = []
    workflow = registered(
        "doubled",
        first=Call(lambda: calls.append(1)),
        ask=Halt("?"),
        last=Call(lambda: calls.append(2)),
    )

    execution = start(workflow)
    resume(execution.id)

    assert calls == [1, 2]


def test_key_started_twice_at_once(registered, silent):
    workflow = registered("keyed", work=Call(lambda: 1))

    started = together(*[lambda: start(workflow, idempotency_key="order 7")] * 4)

    assert len({execution.id for execution in started}) == 1
    assert len(wiring.store().find(workflow_id="keyed")) == 1


def test_two_events_at_once_for_two_that_wait(registered):
    workflow = registered("paying", paid=WaitForEvent("paid"))
    halted = [run(workflow).execution_id for _ in range(2)]

    together(*[lambda: send_event("paid")] * 2)

    assert [api.get(name).status for name in halted] == [ExecutionStatus.COMPLETED] * 2
    assert not wiring.store().find_waits()


def test_event_sent_while_the_wait_is_opened(registered, silent):
    workflow = registered("paying", paid=WaitForEvent("paid"))
    for _ in range(5):
        execution = start(workflow)

        together(lambda name=execution.id: wiring.drive(name), lambda: send_event("paid"))

        wiring.drive(execution.id)  # what the bell would have done
        assert api.get(execution.id).status == ExecutionStatus.COMPLETED


def test_two_managers_decide_two_branches_at_once(registered, silent):
    workflow = registered(
        "both", both=Parallel(a=Approval("A?", name="x"), b=Approval("B?", name="y"))
    )
    halted = run(workflow).execution_id

    together(
        lambda: resume(halted, approved=True, step="both/a/x", by="alice"),
        lambda: resume(halted, approved=True, step="both/b/y", by="bob"),
    )

    wiring.drive(halted)
    result = api.get(halted).result
    assert (result["a"]["by"], result["b"]["by"]) == ("alice", "bob")


def test_cancel_and_answer_at_once(registered, silent):
    workflow = registered("raced", review=Approval("?"))
    for _ in range(3):
        halted = run(workflow).execution_id

        answered, cancelled = together(
            lambda name=halted: resume(name, approved=True), lambda name=halted: cancel(name)
        )

        wiring.drive(halted)
        # Answered first, it is cancelled all the same; cancelled first, there is nothing to answer.
        assert api.get(halted).status == ExecutionStatus.CANCELLED
        assert not isinstance(cancelled, WorkflowError)
        assert isinstance(answered, WorkflowError) or answered.status == ExecutionStatus.PENDING


def test_loop_restarted_at_item_0_after_a_halt(registered):
    seen = []
    workflow = registered(
        "looping",
        each=Loop(
            over=["a", "b"],
            do=[Call(lambda state: seen.append(state.ctx["item"]), name="see"), Halt(name="ask")],
        ),
    )
    execution = run(workflow).execution_id

    for answer in (1, 2):
        resume(execution, response=answer)

    assert seen == ["a", "b"]
    assert api.get(execution).result == [1, 2]


def test_retry_wait_that_nobody_ends(registered, travel):
    attempts = []

    def work():
        attempts.append(1)
        if len(attempts) == 1:
            raise ConnectionError("not yet")

    halted = run(registered("patient", work=Call(work, retry=Retry(attempts=2, delay=60))))
    travel(61)

    sweep()

    assert api.get(halted.execution_id).status == ExecutionStatus.COMPLETED
    assert len(attempts) == 2

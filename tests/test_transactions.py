"""What a transaction around the public functions means for them, on either database alias."""

from contextlib import contextmanager

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from django_workflows import api, cancel, fork, resume, retry, run, send_event, skip, start, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import ConfigurationError
from django_workflows.models import WorkflowEvent, WorkflowExecution
from django_workflows.steps import Approval, Call, WaitForEvent
from django_workflows.supervisor import sweep

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@contextmanager
def rolled_back(using):
    """Open a transaction that does not last."""
    with transaction.atomic(using=using):
        yield
        transaction.set_rollback(True, using=using)


@pytest.fixture(params=["default", "other"])
def using(request, settings):
    settings.WORKFLOWS = {
        "STORE": {
            "BACKEND": "django_workflows.stores.orm.OrmStore",
            "OPTIONS": {"using": request.param},
        }
    }
    return request.param


@pytest.fixture
def calls():
    return []


@pytest.fixture
def counted(registered, calls):
    return registered("counted", work=Call(lambda state: calls.append(state.execution_id)))


@pytest.fixture
def reviewed(registered):
    return registered("reviewed", review=Approval("Really?"))


def rows(using):
    return WorkflowExecution.objects.using(using)


def test_start_that_is_rolled_back_leaves_nothing(counted, calls, using):
    with rolled_back(using):
        start(counted)

    assert not rows(using).exists()
    assert calls == []


def test_start_runs_once_its_transaction_commits(counted, calls, using):
    with transaction.atomic(using=using):
        execution = start(counted)
        assert calls == []

    assert calls == [execution.id]
    assert rows(using).get().status == ExecutionStatus.COMPLETED


def test_start_waits_for_the_outermost_commit(counted, calls, using):
    with transaction.atomic(using=using):
        with transaction.atomic(using=using):
            execution = start(counted)
        assert calls == []

    assert calls == [execution.id]


def test_inner_rollback_takes_its_start_with_it(counted, calls, using):
    with transaction.atomic(using=using):
        kept = start(counted)
        with rolled_back(using):
            start(counted)

    assert calls == [kept.id]
    assert rows(using).count() == 1


def test_executions_live_on_the_alias_of_the_store(counted, using):
    start(counted)

    others = {"default", "other"} - {using}
    assert [rows(other).count() for other in others] == [0]


def test_transaction_of_another_database_does_not_hold_a_start_back(counted, calls, using):
    (other,) = {"default", "other"} - {using}

    with transaction.atomic(using=other):
        execution = start(counted)
        assert calls == [execution.id]


def test_answer_that_is_rolled_back_was_not_given(reviewed, using):
    halted = run(reviewed)

    with rolled_back(using):
        resume(halted.execution_id, approved=True)

    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED
    assert resume(halted.execution_id, approved=True, wait=True).status == "completed"


def test_answer_is_acted_on_once_its_transaction_commits(reviewed, using):
    halted = run(reviewed)

    with transaction.atomic(using=using):
        answered = resume(halted.execution_id, approved=True)
        assert api.get(answered.id).status == ExecutionStatus.PENDING

    assert api.get(answered.id).status == ExecutionStatus.COMPLETED


def test_run_inside_a_transaction_is_refused(counted, calls, using):
    with (
        transaction.atomic(using=using),
        pytest.raises(ConfigurationError, match=f"on the database '{using}'"),
    ):
        run(counted)

    assert calls == []
    assert not rows(using).exists()


def test_resume_that_waits_is_refused_inside_a_transaction_before_it_answers(reviewed, using):
    halted = run(reviewed)

    with transaction.atomic(using=using), pytest.raises(ConfigurationError):
        resume(halted.execution_id, approved=True, wait=True)

    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED


def test_event_that_is_rolled_back_was_not_sent(registered, using):
    halted = run(registered("paying", paid=WaitForEvent("paid")))

    with rolled_back(using):
        send_event("paid")

    assert not WorkflowEvent.objects.using(using).exists()
    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED


def test_event_is_delivered_once_its_transaction_commits(registered, using):
    halted = run(registered("paying", paid=WaitForEvent("paid")))

    with transaction.atomic(using=using):
        send_event("paid", data=7)
        assert api.get(halted.execution_id).status == ExecutionStatus.HALTED

    assert api.get(halted.execution_id).result == 7


def test_verbs_that_are_rolled_back_changed_nothing(reviewed, using):
    halted = run(reviewed)

    for verb in (cancel, skip, lambda name: fork(name, "review")):
        with rolled_back(using):
            verb(halted.execution_id)

    assert [row.status for row in rows(using).all()] == [ExecutionStatus.HALTED]
    assert len(wiring.store().entries(halted.execution_id)) == 1


def test_retry_is_driven_once_its_transaction_commits(registered, using):
    broken = [True]

    def work():
        if broken:
            raise ValueError("broken")

    failed = run(registered("mended", work=Call(work)))
    broken.clear()

    with transaction.atomic(using=using):
        retry(failed.execution_id)
        assert api.get(failed.execution_id).status == ExecutionStatus.PENDING

    assert api.get(failed.execution_id).status == ExecutionStatus.COMPLETED


def test_atomic_step_commits_with_its_checkpoint_on_its_alias(registered, using):
    def add(state):
        Group.objects.using(using).create(name=state.execution_id)
        if state.input["fails"]:
            raise ValueError("too late")

    workflow = registered("adding", add=Call(add, atomic=True))

    workflow.run(fails=True)
    kept = workflow.run(fails=False)

    assert [group.name for group in Group.objects.using(using).all()] == [kept.execution_id]


def test_atomic_step_may_start_another_workflow(registered, counted, calls, using):
    def chain():
        return start(counted).id

    result = run(registered("chaining", chain=Call(chain, atomic=True)))

    assert calls == [result.output]


def test_broken_bell_stops_nobody_and_the_sweep_finds_what_it_left(
    counted, calls, settings, caplog, using
):
    settings.WORKFLOWS["ADAPTER"] = {"BACKEND": "tests.bells.BrokenBell"}
    wiring.forget()
    with transaction.atomic(using=using):
        first, second = start(counted), start(counted)

    assert "could not be dispatched" in caplog.text
    assert [api.get(started.id).status for started in (first, second)] == ["pending"] * 2
    del settings.WORKFLOWS["ADAPTER"]
    wiring.forget()
    sweep()
    assert sorted(calls) == [first.id, second.id]


@pytest.mark.django_db(transaction=False)
class TestInsideATestCase:
    """The transaction of a TestCase is none that the project opened."""

    def test_run_is_allowed(self, counted, calls):
        result = run(counted)

        assert calls == [result.execution_id]

    def test_start_runs_where_the_test_captures_its_commits(
        self, counted, calls, django_capture_on_commit_callbacks
    ):
        with django_capture_on_commit_callbacks(execute=True):
            execution = start(counted)

        assert calls == [execution.id]

    def test_run_is_refused_in_a_transaction_of_the_test_itself(self, counted):
        with transaction.atomic(), pytest.raises(ConfigurationError):
            run(counted)

"""What the job of a queue does, and what where the store is away."""

from threading import Event

import pytest

from django_workflows import api, start, wiring
from django_workflows.exceptions import ExecutionFailed, StoreUnavailable, UnknownWorkflow
from django_workflows.performing import Lost, lost, perform
from django_workflows.steps import Call, Halt

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(settings):
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.SilentBell"}}


@pytest.fixture
def away(monkeypatch):
    """Let a method of the store fail so many times."""

    def fail(name, times):
        real, left = getattr(wiring.store(), name), [times]

        def method(*arguments, **options):
            if left[0] > 0:
                left[0] -= 1
                raise StoreUnavailable("test", "away")
            return real(*arguments, **options)

        monkeypatch.setattr(wiring.store(), name, method)

    return fail


def plain(registered):
    return registered("plain", work=Call(lambda: "done"))


def test_execution_is_driven(registered):
    execution = start(plain(registered))

    perform(execution.id)

    assert api.get(execution.id).result == "done"


def test_one_that_is_driven_already_is_left_alone(registered):
    execution = start(plain(registered))
    perform(execution.id)
    entries = wiring.store().entries(execution.id)

    perform(execution.id)

    assert wiring.store().entries(execution.id) == entries


def test_one_that_halts_is_no_failure(registered):
    execution = start(registered("asking", ask=Halt()))

    perform(execution.id)

    assert api.get(execution.id).status == "halted"


def test_one_that_is_gone_is_no_failure(registered):
    execution = start(plain(registered))
    wiring.store().delete(execution.id)

    perform(execution.id)


def test_one_that_fails_fails_its_job_with_the_error(registered):
    def fail():
        raise ValueError("broken")

    execution = start(registered("failing", work=Call(fail)))

    with pytest.raises(ExecutionFailed, match="ValueError: broken") as caught:
        perform(execution.id)

    assert isinstance(caught.value.__cause__, ValueError)


def test_one_of_a_workflow_that_nobody_knows_fails_its_job(registered):
    from django_workflows import registry

    execution = start(plain(registered))
    registry.remove("plain")

    with pytest.raises(UnknownWorkflow):
        perform(execution.id)

    assert api.get(execution.id).status == "pending"


def test_store_that_is_away_is_waited_for_and_logged_once(registered, away, caplog):
    execution = start(plain(registered))
    away("load", 3)

    perform(execution.id)

    assert api.get(execution.id).result == "done"
    assert caplog.text.count("A drive was cut short") == 1


def test_store_that_goes_away_in_the_middle_costs_no_lease(registered, away):
    execution = start(plain(registered))
    away("checkpoint", 1)

    perform(execution.id)

    done = api.get(execution.id)
    assert (done.result, done.fence) == ("done", 3)


def test_store_that_stays_away_is_given_up(registered, away, monkeypatch):
    monkeypatch.setattr("django_workflows.performing.PATIENCE", 0.3)
    execution = start(plain(registered))
    away("load", 1_000)

    perform(execution.id)

    monkeypatch.undo()
    assert api.get(execution.id).status == "pending"


def test_who_is_to_stop_does_not_wait_for_the_store(registered, away, monkeypatch):
    stopping = Event()
    stopping.set()
    monkeypatch.setattr(wiring, "stopping", stopping)
    execution = start(plain(registered))
    away("load", 1_000)

    perform(execution.id)

    monkeypatch.undo()
    assert api.get(execution.id).status == "pending"


def test_lease_that_cannot_be_given_back_yet_is_kept_for_later(registered, away):
    execution = start(plain(registered))
    away("checkpoint", 1)
    with pytest.raises(StoreUnavailable) as caught:
        wiring.drive(execution.id)
    mine = Lost()
    mine.note(caught.value)
    away("transition", 1)

    with pytest.raises(StoreUnavailable):
        mine.give_back()
    mine.give_back()

    assert api.get(execution.id).status == "pending"
    assert api.get(execution.id).fence == 2


def test_lease_that_another_has_taken_since_is_not_given_back(registered, travel):
    from datetime import timedelta

    execution = start(plain(registered))
    store = wiring.store()
    store.claim(execution.id, "first", timedelta(seconds=1))
    travel(2)
    store.claim(execution.id, "second", timedelta(seconds=60))
    error = StoreUnavailable("test", "away")
    error.driven = (execution.id, 1)
    lost.note(error)

    lost.give_back()

    assert api.get(execution.id).lease_owner == "second"

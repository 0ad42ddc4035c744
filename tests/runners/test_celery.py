import os
import socket
import time

import pytest

from django_workflows import get, start, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.steps import Call
from tests.factories import ExecutionFactory
from tests.runners.conftest import in_project
from tests.runners.contract import AdapterContract
from tests.runners.contract.station import until

pytest.importorskip("celery")

from celery import _state
from kombu.exceptions import OperationalError

from django_workflows.runners import celery
from django_workflows.runners.celery import CeleryAdapter
from tests.runners.celery_station import OTHER, QUEUE


class TestCeleryAdapter(AdapterContract):
    @pytest.fixture
    def station(self, celery_station):
        return celery_station


@pytest.fixture
def adapter(celery_station):
    return CeleryAdapter(print, queue=QUEUE)


def places(station):
    """Return the queues in which something waits."""
    return [message.delivery_info["routing_key"] for message in station.messages()]


# Where a message goes --------------------------------------------------------------------------


def test_an_execution_names_its_queue(adapter, celery_station):
    adapter.dispatch(ExecutionFactory(queue=OTHER))

    assert places(celery_station) == [OTHER]


def test_without_a_queue_the_routes_of_celery_count(celery_station):
    celery_station.app.conf.task_routes = {"django_workflows.drive": {"queue": OTHER}}

    CeleryAdapter(print).dispatch(ExecutionFactory())

    assert places(celery_station) == [OTHER]


def test_without_a_queue_and_routes_it_is_the_default_of_celery(celery_station):
    celery_station.app.conf.task_default_queue = QUEUE
    adapter = CeleryAdapter(print)

    adapter.dispatch(ExecutionFactory())

    assert places(celery_station) == [QUEUE]
    assert adapter.queue == QUEUE


def test_another_turn_of_an_execution_is_another_task(adapter, celery_station):
    first, second = ExecutionFactory(id="7" * 32), ExecutionFactory(id="7" * 32, fence=3)

    for execution in (first, second):
        adapter.dispatch(execution)

    ids = [message.headers["id"] for message in celery_station.messages()]
    assert ids == [f"{first.id}-0", f"{first.id}-3"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (0, None),
        (5, 5),
        (1_000, 255),  # RabbitMQ has no higher one
        (-5, 0),  # nor a lower
    ],
)
def test_rabbitmq_is_told_the_priority(adapter, celery_station, given, sent):
    adapter.dispatch(ExecutionFactory(priority=given))

    (message,) = celery_station.messages()
    # Celery's own is 0.
    assert message.properties.get("priority", 0) == (sent or 0)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (-1_000, 9),  # Redis takes 0 first, and 9 last
        (-3, 3),
        (3, 0),
    ],
)
def test_redis_counts_priorities_the_other_way(given, told):
    assert celery._priority(given, "redis") == told


# Its settings ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_eager_tasks_drive_it_here(celery_station, settings, registered):
    celery_station.app.conf.task_always_eager = True
    settings.WORKFLOWS = {"ADAPTER": celery_station.adapter}

    execution = start(registered("working", work=Call(lambda: 1)))

    assert get(execution.id).result == 1
    assert wiring.adapter().drives_here


def test_celerys_own_app_is_a_problem(adapter, monkeypatch):
    monkeypatch.setattr(_state._tls, "current_app", None)
    monkeypatch.setattr(_state, "default_app", None)

    (problem,) = adapter.problems()

    assert problem.startswith("There is no Celery app in this process, so jobs would go to")
    assert "`from .celery import app as celery_app`" in problem


def test_workers_that_refuse_json_are_a_problem(adapter, celery_station):
    celery_station.app.conf.accept_content = ["pickle"]

    assert list(adapter.problems()) == [
        "Celery's accept_content is ['pickle'], but a job is JSON. Add \"json\" to it."
    ]


def test_nobody_can_tell_who_listens(adapter):
    assert adapter.listeners([]) is None


def test_the_command_of_a_worker_names_the_queue(adapter):
    assert adapter.worker_command == f"`celery -A your_project worker -Q {QUEUE}`"


# A broker that blinks, or hangs ----------------------------------------------------------------


def test_a_broker_that_was_restarted_is_found_at_once(adapter, celery_station):
    adapter.dispatch(ExecutionFactory())
    celery_station.line.cut()
    celery_station.line.mend()

    adapter.dispatch(ExecutionFactory())

    assert len(celery_station.heard()) == 2


def test_a_broker_that_hangs_is_not_waited_for(adapter, celery_station, monkeypatch):
    monkeypatch.setattr(celery, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        celery_station.app.conf.broker_url = f"amqp://127.0.0.1:{silent.getsockname()[1]}"

        began = time.monotonic()
        with pytest.raises(OperationalError):
            adapter.dispatch(ExecutionFactory())

    assert time.monotonic() - began < 2


# Processes of their own ------------------------------------------------------------------------


def test_a_forked_process_has_connections_of_its_own(celery_station):
    module = "tests.runners.project.forking"
    broker = celery_station.app.conf.broker_url
    with in_project(module, broker, QUEUE, adapter=celery_station.adapter) as process:
        assert process.wait(60) == 0

    assert celery_station.heard() == ["before", "child", "after"]


@pytest.mark.django_db(transaction=True)
def test_celerys_own_worker_drives_it_for_longer_than_other_tasks_may_take(
    celery_station, settings, answering
):
    settings.WORKFLOWS = {"ADAPTER": celery_station.adapter}
    execution = start(answering, {"seconds": 2.5})

    command = ["celery", "-A", "tests.runners.project.celery", "worker", "-Q", QUEUE, "-c", "1"]
    with in_project(*command, "--pool", "prefork", adapter=celery_station.adapter):
        until(lambda: get(execution.id).status != ExecutionStatus.PENDING, 60)
        until(lambda: get(execution.id).status != ExecutionStatus.RUNNING)

    assert get(execution.id).status == ExecutionStatus.COMPLETED
    assert get(execution.id).result != os.getpid()

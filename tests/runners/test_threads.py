import threading

import pytest
from django.db import connection, connections

from django_workflows import run
from django_workflows.exceptions import StepTimeout
from django_workflows.models import WorkflowExecution
from django_workflows.runners import threads
from django_workflows.runners.threads import Crew, DjangoThreads
from django_workflows.steps import Call, Parallel


@pytest.fixture
def opened(monkeypatch):
    """The connections that other threads have opened; each must be closed by its thread."""
    found = []

    def keep(sender, connection, **kwargs):
        if threading.current_thread() is not threading.main_thread():
            found.append(connection)

    from django.db.backends.signals import connection_created

    connection_created.connect(keep)
    yield found
    connection_created.disconnect(keep)


def never():
    return False


@pytest.mark.django_db(transaction=True)
class TestOutsideTransactions:
    def test_threads_are_allowed(self):
        WorkflowExecution.objects.count()  # the connection is open

        assert DjangoThreads().allowed()

    def test_branches_run_in_threads_and_leave_no_connection_open(self, registered, opened):
        here = []

        def work():
            here.append((threading.current_thread(), WorkflowExecution.objects.count()))

        workflow = registered(
            "branching", both=Parallel(a=Call(work, name="x"), b=Call(work, name="y"))
        )

        run(workflow).raise_for_status()

        assert [count for _, count in here] == [1, 1]
        assert threading.main_thread() not in {thread for thread, _ in here}
        assert opened
        assert [connection.connection for connection in opened] == [None] * len(opened)

    def test_branches_run_in_turn_where_the_setting_says_so(self, registered, settings):
        settings.WORKFLOWS = {"PARALLEL_THREADS": 0}
        threads = []

        def work():
            threads.append(threading.current_thread())

        run(registered("turns", both=Parallel(a=Call(work, name="x"), b=Call(work, name="y"))))

        assert threads == [threading.main_thread()] * 2

    def test_timeout_ends_the_waiting_and_the_thread_leaves_no_connection(self, registered, opened):
        release, left = threading.Event(), threading.Event()

        def work():
            WorkflowExecution.objects.count()
            release.wait(10)
            left.set()

        result = run(registered("slow", work=Call(work, timeout=0.1)))

        assert isinstance(result.exception, StepTimeout)
        release.set()
        assert left.wait(10)
        for thread in threading.enumerate():
            if thread.name == "workflow-step":
                thread.join(10)
        assert [connection.connection for connection in opened] == [None]

    def test_work_in_time_returns_from_its_thread(self, registered):
        result = run(registered("quick", work=Call(threading.get_ident, timeout=10)))

        assert result.output != threading.get_ident()


@pytest.mark.django_db
class TestInATestCase:
    def test_threads_are_not_allowed(self):
        assert not DjangoThreads().allowed()

    def test_branches_run_in_turn(self, registered):
        threads = []

        def work():
            threads.append(threading.current_thread())

        run(registered("turns", both=Parallel(a=Call(work, name="x"), b=Call(work, name="y"))))

        assert threads == [threading.main_thread()] * 2

    def test_timeout_is_noticed_at_the_end(self, registered):
        import time

        result = run(registered("slow", work=Call(lambda: time.sleep(0.02), timeout=0.01)))

        assert result.error == "StepTimeout: Step 'work' took longer than its timeout of 0.01 s."


@pytest.fixture
def in_memory():
    """A database alias in memory, which no other thread would see."""
    alias = "in_memory"
    connections.settings[alias] = connections.settings["default"] | {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        "OPTIONS": {},
    }
    yield alias
    connections[alias].close()
    delattr(connections._connections, alias)
    del connections.settings[alias]


@pytest.mark.django_db(transaction=True)
def test_threads_are_not_allowed_beside_a_database_in_memory(in_memory):
    assert DjangoThreads().allowed()

    assert connections[in_memory].vendor == "sqlite"

    assert not DjangoThreads().allowed()


@pytest.mark.django_db(transaction=True)
def test_clean_up_closes_what_this_thread_holds():
    WorkflowExecution.objects.count()

    DjangoThreads().clean_up()

    assert connection.connection is None


@pytest.mark.parametrize("error", [ValueError, SystemExit, GeneratorExit])
def test_crew_keeps_its_threads_whatever_a_job_raises(error, caplog):
    done = []

    def work(job):
        if job == "bad":
            raise error
        done.append(job)

    crew = Crew(1, work)
    try:
        crew.submit("bad")
        assert crew.wait_for_free(5) == 1
        crew.submit("good")
        assert crew.wait_for_free(5) == 1
    finally:
        crew.close()

    assert done == ["good"]
    assert error.__name__ in caplog.text


def busy_crew(size):
    """Return a crew of which every thread waits, and what lets one of them go on."""
    go_on = threading.Semaphore(0)
    crew = Crew(size, lambda job: go_on.acquire())
    for number in range(size):
        crew.submit(number)
    return crew, go_on.release


def test_who_looks_for_work_waits_for_some_more_to_be_free(monkeypatch):
    monkeypatch.setattr(threads, "GATHERING", 10.0)
    crew, let_one_go = busy_crew(8)
    later = threading.Timer(0.05, let_one_go)
    let_one_go()
    later.start()

    assert crew.wait_for_free(10) == 2  # one in four
    for _ in range(6):
        let_one_go()
    crew.close()


def test_who_looks_for_work_waits_for_them_no_longer_than_that():
    crew, let_one_go = busy_crew(8)
    let_one_go()

    assert crew.wait_for_free(10) == 1
    for _ in range(7):
        let_one_go()
    crew.close()


def test_nobody_is_free():
    crew, let_one_go = busy_crew(1)

    assert crew.wait_for_free(0.01) == 0
    let_one_go()
    crew.close()

"""``workflows doctor``: what keeps executions from being driven, each with its cure."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from django_workflows import registry, start, wiring
from django_workflows.core import clock
from django_workflows.core.presence import Presence
from django_workflows.exceptions import ConfigurationError, StoreUnavailable
from django_workflows.health import findings
from django_workflows.models import WorkflowExecution
from django_workflows.steps import Call

pytestmark = pytest.mark.django_db(transaction=True)

DATABASE = {"BACKEND": "django_workflows.runners.database.DatabaseAdapter"}


@pytest.fixture(autouse=True)
def polled(settings):
    settings.WORKFLOWS = {**settings.WORKFLOWS, "ADAPTER": DATABASE}


@pytest.fixture
def present():
    """Announce a process that is at work."""

    def announce(**facts):
        now = clock.now()
        wiring.store().announce(Presence(**{"drives": True, "swept_at": now, **facts}))

    return announce


def doctor():
    """Return the exit code and what the doctor says."""
    out = StringIO()
    try:
        call_command("workflows", "doctor", stdout=out)
    except SystemExit as ended:
        return ended.code, out.getvalue()
    return 0, out.getvalue()


def test_all_is_well(present):
    present()

    assert doctor() == (0, "All is well: 1 process is at work.\n")


def test_nobody_is_there():
    code, said = doctor()

    assert code == 1
    assert "✗ No supervisor is running: timers, retries and lost executions" in said
    assert "✗ No worker listens for DatabaseAdapter.\n    Start one: `manage.py workflows" in said


def test_worker_that_died_is_not_there(present):
    present(seen_at=clock.now() - timedelta(minutes=10))

    code, said = doctor()

    assert code == 1
    assert "No worker listens" in said


def test_supervisor_that_hangs(present):
    present(swept_at=clock.now() - timedelta(minutes=10))

    (finding,) = findings()

    assert finding.what.startswith("No supervisor has looked since ")
    assert "workflows supervise" in finding.cure


def test_nobody_listens_to_a_queue_that_is_in_use(present, registered):
    present(queues=("default", "fast"))
    workflow = registered("plain", work=Call(lambda: 1))
    for queue in ("slow", "slow", "fast", None):
        start(workflow, queue=queue)

    (finding,) = findings()

    assert finding.what == (
        "2 executions are pending on queue 'slow', to which no worker listens; workers listen to"
        " default, fast."
    )
    assert finding.cure.startswith("Start a worker with --queues slow")


def test_worker_on_all_queues_hears_every_one(present, registered):
    present()
    start(registered("plain", work=Call(lambda: 1)), queue="slow")

    assert list(findings()) == []


def test_executions_that_nobody_can_run(present, registered):
    present()
    workflow = registered("forgotten", work=Call(lambda: 1))
    for _ in range(2):
        start(workflow)
    registry.remove("forgotten")

    (finding,) = findings()

    assert finding.what == "2 pending executions are of 'forgotten', which is not registered."


@pytest.mark.parametrize(("skew", "way"), [(300.0, "ahead of"), (-300.0, "behind")])
def test_clock_of_a_worker_is_apart(present, skew, way):
    present(id="host:1:a", skew=skew)

    (finding,) = findings()

    assert finding.what == f"The clock of host:1:a is 300.0 s {way} the store's."
    assert "NTP" in finding.cure


def test_clock_of_this_process_is_apart(present, monkeypatch):
    present()
    monkeypatch.setattr(wiring.store(), "now", lambda: clock.now() - timedelta(seconds=10))

    (finding,) = findings()

    assert finding.what.startswith("The clock of this process is 10.0 s ahead of")


def test_settings_that_are_wrong_come_first(settings):
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "nowhere.Adapter"}}

    code, said = doctor()

    assert code == 1
    assert "nowhere.Adapter" in said
    assert "No worker" not in said


def test_adapter_says_what_is_wrong_with_it(settings, present):
    settings.WORKFLOWS = {"ADAPTER": {**DATABASE, "OPTIONS": {"using": "elsewhere"}}}
    present()

    (finding,) = findings()

    assert "'elsewhere'" in finding.what
    assert finding.cure == "Correct WORKFLOWS['ADAPTER'] (DatabaseAdapter)."


def test_store_that_does_not_answer(monkeypatch):
    def away():
        raise StoreUnavailable("test", "gone")

    monkeypatch.setattr(wiring.store(), "present", away)

    (finding,) = findings()

    assert "does not answer: gone" in finding.what


def test_tables_that_are_not_there(settings, present):
    from django.db import connection

    with connection.schema_editor() as editor:
        from django_workflows.models import WorkflowPresence

        editor.delete_model(WorkflowPresence)
    try:
        code, said = doctor()
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(WorkflowPresence)

    assert code == 1
    assert "manage.py migrate" in said


def test_columns_that_are_not_there(present):
    from django.db import connection

    def rename(old, new):
        with connection.cursor() as cursor:
            cursor.execute(
                f"ALTER TABLE django_workflows_workflowpresence RENAME COLUMN {old} TO {new}"
            )

    rename("skew", "later")
    try:
        code, said = doctor()
        with pytest.raises(ConfigurationError, match=r"manage\.py migrate"):
            present()
    finally:
        rename("later", "skew")

    assert code == 1
    assert "lacks a table or a column of this app" in said
    assert "Migrate the store's database, and ask again." in said


def test_inline_adapter_needs_no_worker_but_a_supervisor(settings):
    settings.WORKFLOWS = {}

    (finding,) = findings()

    assert finding.what.startswith("No supervisor is running")


def test_adapter_that_cannot_tell_who_listens(present, monkeypatch):
    present(drives=False)
    monkeypatch.setattr(wiring.adapter(), "listeners", lambda present: None)

    assert list(findings()) == []


@pytest.fixture
def untold(monkeypatch):
    """An adapter that cannot tell who listens."""
    monkeypatch.setattr(wiring.adapter(), "listeners", lambda present: None)


def wait_for_a_minute():
    WorkflowExecution.objects.update(updated_at=clock.now() - timedelta(minutes=1))


@pytest.mark.usefixtures("untold")
def test_nobody_comes_and_nobody_can_tell_who_listens(present, registered):
    workflow = registered("plain", work=Call(lambda: 1))
    for _ in range(2):
        start(workflow)
    wait_for_a_minute()
    start(workflow)
    present(drives=False)

    (finding,) = findings()

    assert finding.what == (
        "2 executions have been pending for longer than 20 s, and DatabaseAdapter cannot tell"
        " whether a worker listens."
    )
    assert finding.cure.startswith("Start one: `manage.py workflows worker`")


@pytest.mark.usefixtures("untold")
def test_what_nobody_can_run_is_told_of_once(present, registered):
    start(registered("forgotten", work=Call(lambda: 1)))
    registry.remove("forgotten")
    wait_for_a_minute()
    present(drives=False)

    (finding,) = findings()

    assert "'forgotten', which is not registered" in finding.what


def test_redis_that_does_not_answer(settings, present, registered):
    pytest.importorskip("django_rq")
    json = "rq.serializers.JSONSerializer"
    away = {"HOST": "127.0.0.1", "PORT": 1, "DB": 0, "SERIALIZER": json}
    pickling = {"HOST": "127.0.0.1", "PORT": 1, "DB": 0}
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django_rq"]
    settings.RQ_QUEUES = {"default": away, "others": pickling}
    adapter = {"BACKEND": "django_workflows.runners.rq.RqAdapter"}
    settings.WORKFLOWS = {**settings.WORKFLOWS, "ADAPTER": adapter}
    present(drives=False)
    start(registered("plain", work=Call(lambda: 1)))

    code, said = doctor()

    assert code == 1
    assert "✗ The Redis of the queue 'default' does not answer: " in said
    assert "correct RQ_QUEUES['default']" in said
    assert "others" not in said


def test_store_that_was_not_migrated_is_to_be_migrated(monkeypatch):
    def unmigrated():
        raise ConfigurationError("no such column. Has `manage.py migrate` been run?")

    monkeypatch.setattr(wiring.store(), "present", unmigrated)

    (finding,) = findings()

    assert "manage.py migrate" in finding.what
    assert finding.cure == "Migrate the store's database, and ask again."

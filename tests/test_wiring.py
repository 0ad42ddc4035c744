"""What the settings name is built once, late, and anew when they change."""

import re
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_workflows import run, start, wiring
from django_workflows.exceptions import (
    ConfigurationError,
    ExecutionNotFound,
    StoreUnavailable,
    UnknownWorkflow,
)
from django_workflows.models import WorkflowExecution, WorkflowVersion
from django_workflows.runners.inline import InlineAdapter
from django_workflows.steps import Call
from django_workflows.stores.memory import MemoryStore
from django_workflows.stores.orm import OrmStore
from tests.bells import SilentBell

MEMORY = {"STORE": {"BACKEND": "django_workflows.stores.memory.MemoryStore"}}


@pytest.fixture
def counted(registered):
    return registered("counted", work=Call(lambda: 1))


# Building ---------------------------------------------------------------------------------------


def test_defaults_are_the_database_and_this_process():
    assert isinstance(wiring.store(), OrmStore)
    assert isinstance(wiring.adapter(), InlineAdapter)


def test_each_is_built_once():
    assert wiring.store() is wiring.store()
    assert wiring.adapter() is wiring.adapter()


def test_overridden_settings_take_effect_and_go_again(counted):
    with override_settings(WORKFLOWS=MEMORY):
        result = run(counted)
        store = wiring.store()

    assert store.load(result.execution_id).result == 1
    assert isinstance(store, MemoryStore)
    assert isinstance(wiring.store(), OrmStore)


def test_other_settings_build_nothing_anew():
    store = wiring.store()

    with override_settings(LANGUAGE_CODE="de"):
        assert wiring.store() is store


def test_engine_has_the_limits_of_the_settings(counted):
    limits = {
        "LEASE": 5,
        "MAX_PAYLOAD_BYTES": 10_000,
        "MAX_VISITS": 7,
        "MAX_DEPTH": 3,
        "MAX_CLAIMS": 2,
        "PARALLEL_THREADS": 4,
    }
    with override_settings(WORKFLOWS=MEMORY | limits):
        engine = wiring.engine(counted.definition)

    assert engine.limits.lease == timedelta(seconds=5)
    assert (engine.limits.payload_bytes, engine.limits.visits) == (10_000, 7)
    assert (engine.limits.depth, engine.limits.claims, engine.threads.branches) == (3, 2, 4)


def test_options_reach_the_backend():
    adapter = {"BACKEND": "tests.bells.SilentBell", "OPTIONS": {"queue": "slow"}}
    with override_settings(WORKFLOWS={"ADAPTER": adapter}):
        assert isinstance(wiring.adapter(), SilentBell)
        assert wiring.adapter().options == {"queue": "slow"}
        assert wiring.adapter().drive == wiring.drive


@pytest.mark.parametrize("name", ["STORE", "ADAPTER"])
@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (None, "must be a dict with a BACKEND, not None"),
        ("redis", "must be a dict with a BACKEND, not 'redis'"),
        ({"OPTIONS": {}}, "must be a dict with a BACKEND, not {'OPTIONS': {}}"),
        ({"BACKEND": None}, "names None: "),
        ({"BACKEND": "redis"}, "names 'redis': redis doesn't look like a module path"),
        ({"BACKEND": "no.such.Thing"}, "names 'no.such.Thing': No module named 'no'"),
        ({"BACKEND": "tests.bells.Nothing"}, "names 'tests.bells.Nothing': "),
        ({"BACKEND": "django.db.models.Model"}, "which is no "),
        ({"BACKEND": "django_workflows.core.clock.now"}, "which is no "),
    ],
)
def test_wrong_backend_is_named(name, declared, message):
    expected = re.escape(f"WORKFLOWS['{name}'] ") + ".*" + re.escape(message)
    with (
        override_settings(WORKFLOWS={name: declared}),
        pytest.raises(ConfigurationError, match=expected),
    ):
        getattr(wiring, name.lower())()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"databse": "default"}, "has OPTIONS that do not fit: .*'databse'"),
        ([1], "has OPTIONS that do not fit: "),
        ({"using": "nope"}, "settings.DATABASES has no 'nope', only 'default', 'other'"),
    ],
)
def test_wrong_options_are_named(options, message):
    store = {"BACKEND": "django_workflows.stores.orm.OrmStore", "OPTIONS": options}
    with (
        override_settings(WORKFLOWS={"STORE": store}),
        pytest.raises(ConfigurationError, match=message),
    ):
        wiring.store()


@pytest.mark.django_db(transaction=True)
def test_start_with_a_wrong_adapter_leaves_nothing(counted):
    with (
        override_settings(WORKFLOWS={"ADAPTER": {"BACKEND": "no.such.Thing"}}),
        pytest.raises(ConfigurationError),
    ):
        start(counted)

    assert not WorkflowExecution.objects.exists()


# Driving ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_drive_refuses_what_it_does_not_know(counted):
    from django_workflows import registry

    execution = wiring.engine(counted.definition).create()
    registry.remove("counted")

    with pytest.raises(UnknownWorkflow):
        wiring.drive(execution.id)
    with pytest.raises(ExecutionNotFound):
        wiring.drive("nobody")


@pytest.mark.django_db
def test_drive_returns_nothing_where_nothing_is_to_be_driven(counted):
    assert wiring.drive(run(counted).execution_id) is None


# Graphs -----------------------------------------------------------------------------------------


@pytest.fixture
def graph_writes(django_db_blocker):
    """Count the statements that touch the remembered graphs."""

    def count(work):
        with CaptureQueriesContext(connection) as captured:
            work()
        table = WorkflowVersion._meta.db_table
        return sum(table in query["sql"] for query in captured)

    return count


@pytest.mark.django_db(transaction=True)
class TestGraph:
    def test_is_remembered_of_each_version(self, registered):
        from django_workflows import registry

        run(registered("drawn", version="1", one=Call(lambda: 1)))
        registry.remove("drawn")
        run(registered("drawn", version="2", one=Call(lambda: 1), two=Call(lambda: 2)))

        nodes = [
            [node["id"] for node in wiring.store().graph("drawn", version)["nodes"]]
            for version in ("1", "2")
        ]
        assert nodes == [["one"], ["one", "two"]]

    def test_is_remembered_once_a_process(self, counted, graph_writes):
        assert graph_writes(lambda: run(counted)) > 0
        assert graph_writes(lambda: run(counted)) == 0

    def test_is_remembered_again_where_its_code_changed(self, registered):
        from django_workflows import registry

        run(registered("drawn", one=Call(lambda: 1)))
        registry.remove("drawn")
        run(registered("drawn", other=Call(lambda: 1)))

        (node,) = wiring.store().graph("drawn", "1")["nodes"]
        assert node["id"] == "other"

    def test_is_remembered_again_after_a_rollback(self, counted):
        with transaction.atomic():
            start(counted)
            transaction.set_rollback(True)
        assert not WorkflowVersion.objects.exists()

        run(counted)

        assert WorkflowVersion.objects.filter(workflow_id="counted").exists()

    def test_threads_that_begin_at_once_do_not_all_write_it(self, counted, monkeypatch):
        definition, writes = counted.definition, []

        def write(*arguments):
            writes.append(arguments)
            wiring.remember(definition)  # as another thread would meanwhile

        monkeypatch.setattr(wiring.store(), "remember_graph", write)
        wiring.remember(definition)

        assert len(writes) == 1

    def test_is_tried_again_where_it_could_not_be_written(self, counted, monkeypatch):
        def away(*arguments):
            raise StoreUnavailable("the store", "it is away")

        with monkeypatch.context() as patch:
            patch.setattr(wiring.store(), "remember_graph", away)
            with pytest.raises(StoreUnavailable):
                wiring.remember(counted.definition)

        wiring.remember(counted.definition)

        assert WorkflowVersion.objects.filter(workflow_id="counted").exists()

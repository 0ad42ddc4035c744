import os
from datetime import timedelta

import hypothesis
import pytest

from tests import services, settings

# No deadline: an example may have to wait for the other half of a busy machine.
hypothesis.settings.register_profile("workflows", deadline=None)
hypothesis.settings.load_profile("workflows")


def pytest_addoption(parser):
    """Take what `tox -e crash` and `tox -e fuzz` are told; here, since both may be collected."""
    parser.addoption("--long", action="store_true", help="the long form, before a release")
    parser.addoption("--seed", type=int, default=None, help="what chance begins with")


def pytest_sessionstart(session):
    database = settings.TEST_DB
    if database != "sqlite" and not services.reachable(database):
        pytest.exit(
            f"{services.SERVICES[database]} is not reachable: start it, "
            "or unset WORKFLOWS_TEST_DB to test on SQLite.",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )


def pytest_collection_modifyitems(config, items):
    if os.environ.get("WORKFLOWS_TEST_PART") == "database":
        chosen = [item for item in items if _uses_database(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
        items[:] = chosen
    if os.environ.get("WORKFLOWS_SLOW") == "1":
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow: tox -e crash runs it"))


def _uses_database(item):
    """Return whether it matters to a test which database WORKFLOWS_TEST_DB is."""
    needed = {"db", "transactional_db", "django_db_setup"}
    return item.get_closest_marker("django_db") or not needed.isdisjoint(item.fixturenames)


@pytest.fixture(scope="session", autouse=True)
def quick_flush():
    """
    Empty the tables after a transactional test in a fraction of the time.

    Permissions and content types stay, for Django makes them anew; and PostgreSQL deletes rows: to
    truncate a table is to make new files for it and for each of its indexes.
    """
    from django.db import connection

    operations = type(connection.ops)
    flush = operations.sql_flush
    kept = {"auth_permission", "django_content_type"}

    def sql_flush(self, style, tables, **options):
        emptied = [table for table in tables if table not in kept]
        if connection.vendor == "postgresql":
            return [f"DELETE FROM {self.quote_name(table)}" for table in emptied]
        return flush(self, style, emptied, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "sql_flush", sql_flush)
        yield


def pytest_terminal_summary(terminalreporter):
    missing = services.not_reached()
    if missing:
        terminalreporter.write_line(
            f"Not reached, so not tested: {', '.join(map(str, missing))}.", yellow=True
        )


@pytest.fixture
def registered():
    """Register a workflow under an id, made of its steps and attributes, until the test ends."""
    # Here, because the settings are not there yet when this file is read.
    from django_workflows import Workflow, register, registry

    added = []

    def add(name, /, **body):
        workflow = register(type(name.title(), (Workflow,), {"id": name, **body}))
        added.append(name)
        return workflow

    yield add
    for name in added:
        registry.remove(name)


@pytest.fixture
def travel():
    """Move the clock by seconds, until the test ends."""
    from django_workflows.core import clock

    yield lambda seconds: clock.travel(timedelta(seconds=seconds))
    clock.reset()

from datetime import timedelta

import hypothesis
import pytest

from tests import services, settings

# No deadline: an example may have to wait for the other half of a busy machine.
hypothesis.settings.register_profile("workflows", deadline=None)
hypothesis.settings.load_profile("workflows")


def pytest_sessionstart(session):
    database = settings.TEST_DB
    if database != "sqlite" and not services.reachable(database):
        pytest.exit(
            f"{services.SERVICES[database]} is not reachable: start it, "
            "or unset WORKFLOWS_TEST_DB to test on SQLite.",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )


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

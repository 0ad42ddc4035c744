"""The settings of the tests, for worker processes over the test database."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, WORKFLOWS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.workers.flows"]

WORKFLOWS = {
    **WORKFLOWS,
    "ADAPTER": {"BACKEND": "django_workflows.runners.database.DatabaseAdapter"},
    "LEASE": 2,
    "SWEEP_INTERVAL": 0.5,
}

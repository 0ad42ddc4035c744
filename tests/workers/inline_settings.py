"""Those of the worker processes, without workers: whoever wakes an execution drives it."""

from tests.workers.settings import *  # noqa: F403
from tests.workers.settings import WORKFLOWS

WORKFLOWS = {
    **WORKFLOWS,
    "ADAPTER": {"BACKEND": "django_workflows.runners.inline.InlineAdapter"},
}

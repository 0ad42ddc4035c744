"""The public names: what the documentation shows can be imported, and nothing else is offered."""

import importlib
import inspect

import pytest

import django_workflows
from django_workflows import steps
from django_workflows.core.steps import Step, step_types

MODULES = ["django_workflows", "django_workflows.steps", "django_workflows.testing"]

SHOWN = [
    *("Workflow", "register", "step", "load_workflow", "registry"),
    *("start", "run", "resume", "cancel", "retry", "fork", "skip", "send_event", "wait", "explain"),
    *("goto", "halt", "F", "Q", "Retry"),
    *("State", "Execution", "ExecutionResult", "ExecutionStatus", "Entry", "Event", "Wait"),
]


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted_complete_and_importable(name):
    module = importlib.import_module(name)
    offered = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and not inspect.ismodule(value)
    }

    assert list(module.__all__) == sorted(module.__all__)
    assert set(module.__all__) == offered


def test_names_of_the_documentation_are_there():
    assert set(SHOWN) <= set(django_workflows.__all__)


def test_steps_has_every_kind():
    kinds = {
        kind.__name__
        for kind in step_types.values()
        if kind.__module__.startswith("django_workflows.") and not inspect.isabstract(kind)
    }

    assert kinds <= set(steps.__all__)


def test_steps_has_what_an_own_kind_is_made_of():
    assert steps.Step is Step
    assert {"Run", "When"} <= set(steps.__all__)

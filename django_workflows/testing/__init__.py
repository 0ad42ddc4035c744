"""For the tests of a project: travel in time, answer waits, fake steps, crash anywhere."""

from django_workflows.testing.crashing import CrashReport, SimulatedCrash, assert_crash_safe
from django_workflows.testing.driving import run_to_end, taken_path, travel
from django_workflows.testing.faking import fake_steps

__all__ = [
    "CrashReport",
    "SimulatedCrash",
    "assert_crash_safe",
    "fake_steps",
    "run_to_end",
    "taken_path",
    "travel",
]

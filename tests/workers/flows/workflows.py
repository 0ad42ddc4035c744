"""Workflows for worker processes: they write to a file what they do."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from django_workflows import Workflow, register, step


def note(state, word):
    with Path(state.input["path"]).open("a") as file:
        file.write(f"{word} {os.getpid()}\n")


@register
class Slowly(Workflow):
    id = "slowly"

    @dataclass
    class Input:
        path: str
        seconds: float = 0.0

    @step
    def first(self, state):
        note(state, "first")
        time.sleep(state.input["seconds"])

    @step
    def second(self, state):
        note(state, "second")
        return "done"

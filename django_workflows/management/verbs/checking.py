"""``workflows check``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core import checks

from django_workflows import api
from django_workflows.core.workflow import registry
from django_workflows.exceptions import DefinitionError
from django_workflows.management.screens import Screen, Words, screen_of, write_json
from django_workflows.management.verbs.base import Code, Output, Verb, named
from django_workflows.management.verbs.values import Unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    what: str
    hint: str = ""
    id: str = ""
    is_error: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        level = "error" if self.is_error else "warning"
        return {"what": self.what, "hint": self.hint, "id": self.id, "level": level}


class Check(Verb):
    """
    Say what is wrong with the settings and the workflows, or with documents that are not loaded.

    The exit code is 1 where something is. Unlike doctor, it asks no database and no worker.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        parser.add_argument(
            "files",
            nargs="*",
            type=named,
            metavar="FILE",
            help="YAML documents; default: the settings and all that is registered",
        )

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        files: list[str] = options["files"]
        found = [problem for file in files for problem in _of_document(file)]
        if not files:
            found = list(of_project())
        code = Code.FAILED if any(problem.is_error for problem in found) else Code.DONE
        if options["json"]:
            write_json(out, {"problems": [problem.to_dict() for problem in found]})
            return code
        screen = screen_of(options, out)
        for problem in found:
            _show(problem, screen)
        if not found:
            screen.say(Words(_all_well(files), "good"))
        return code


def _all_well(files: list[str]) -> str:
    if files:
        return f"All is well: {len(files)} {'document' if len(files) == 1 else 'documents'} read."
    count = len(list(registry))
    return f"All is well: {count} {'workflow' if count == 1 else 'workflows'} registered."


def _show(problem: Problem, screen: Screen) -> None:
    number = f" ({problem.id})" if problem.id else ""
    for place, line in enumerate(f"{problem.what}{number}".splitlines()):
        screen.say(Words(f"{'✗ ' if place == 0 else '    '}{line.strip()}", "bad"))
    if problem.hint:
        screen.say(f"    {problem.hint}")


def of_project() -> Iterator[Problem]:
    """Yield what the system checks find, but for what the project silences."""
    for message in checks.run_checks(tags=["workflows"]):
        if message.level >= checks.WARNING and not message.is_silenced():
            yield Problem(
                what=str(message.msg),
                hint=str(message.hint or ""),
                id=message.id or "",
                is_error=message.level >= checks.ERROR,
            )


def _of_document(file: str) -> Iterator[Problem]:
    path = Path(file)
    if not path.is_file():
        raise Unreadable(f"There is no file {file!r}.")
    try:
        api.load_workflow(path, add=False)
    except DefinitionError as error:
        for problem in error.problems:
            yield Problem(what=problem)  # it says the file and the line

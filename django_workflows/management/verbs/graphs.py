"""``workflows graph``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from django_workflows import wiring
from django_workflows.core.execution import Entry, Execution
from django_workflows.core.graph import dot, export, mermaid
from django_workflows.core.graph.shapes import Mark
from django_workflows.core.waits import Wait, WaitStatus
from django_workflows.core.workflow import registry
from django_workflows.exceptions import ConfigurationError, UnknownWorkflow
from django_workflows.management.screens import (
    Columns,
    Output,
    Screen,
    Tone,
    Words,
    screen_of,
    write_json,
)
from django_workflows.management.verbs.base import Code, Verb, named
from django_workflows.management.verbs.histories import MOST_DRAWN, History
from django_workflows.management.verbs.people import add_as, seen, user_of
from django_workflows.management.verbs.values import Unreadable
from django_workflows.permissions import may
from django_workflows.pictures import graph as pictures

_FORMATS = ("text", "svg", "mermaid", "dot")
_BY_SUFFIX = {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot"}
_TONES: dict[Mark, Tone] = {
    "taken": "good",
    "within": "busy",
    "current": "busy",
    "waiting": "waiting",
    "failed": "bad",
    "skipped": "faint",
    "undone": "faint",
}
_HEADINGS = ("STEP", "KIND", "STATE", "VISITS", "GOES TO")


@dataclass(frozen=True, slots=True)
class _Found:
    """The graph that was asked for, and the ways to show it."""

    graph: Mapping[str, Any]
    rows: Callable[[], Sequence[pictures.GraphRow]]
    svg: Callable[[], str]
    earlier: Callable[[], int] = lambda: 0  # entries that it was not drawn from


class Graph(Verb):
    """
    Draw a workflow, or the way that an execution has gone through the version it runs by.

    The way shows in the formats text and svg.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        parser.add_argument("name", nargs="?", type=named, metavar="NAME", help="a workflow's id")
        parser.add_argument("--execution", type=named, metavar="ID", help="instead of NAME")
        parser.add_argument(
            "--format",
            choices=_FORMATS,
            help="default: what the name of the file says, else text",
        )
        parser.add_argument(
            "-o", "--output", type=named, metavar="FILE", help="write it there, not to the screen"
        )
        parser.add_argument(
            "--all",
            action="store_true",
            help=f"of an execution, the whole way; default: its last {MOST_DRAWN:,} entries",
        )
        add_as(parser)

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        if bool(options["name"]) == bool(options["execution"]):
            raise Unreadable("graph takes the NAME of a workflow, or --execution ID: one of them.")
        user = user_of(options)
        if options["execution"]:
            most = None if options["all"] else MOST_DRAWN
            found = _of_execution(user, options["execution"], most)
        else:
            found = _of_workflow(user, options["name"])
        screen = screen_of(options, out)
        if options["output"]:
            _write_file(options["output"], _drawn(found, _format(options)))
            if options["json"]:
                write_json(out, {"file": options["output"]})
            else:
                screen.say(f"Wrote {options['output']}.")
        elif options["json"]:
            write_json(out, found.graph)
        elif _format(options) == "text":
            _table(found, screen)
            _tell_earlier(found, screen)
        else:
            screen.document(_drawn(found, _format(options)))
        return Code.DONE


def _of_workflow(user: Any, name: str) -> _Found:
    definition = registry[name]
    if user is not None and not any(
        may(user, action, workflow_id=name) for action in ("view", "start")
    ):
        known = [one for one in registry if may(user, "start", workflow_id=one)]
        raise UnknownWorkflow(name, known)
    made = export(definition)
    return _Found(
        made, lambda: pictures.rows_of_graph(made), lambda: pictures.of_workflow(definition)
    )


def _of_execution(user: Any, execution_id: str, most: int | None) -> _Found:
    execution = seen(user, execution_id)
    made = pictures.of_execution(execution)
    if made is None:
        raise ConfigurationError(
            f"The graph of {execution.workflow_id!r}, version {execution.workflow_version!r}, is"
            " not known here: no worker of this version has kept it, and the registered workflow"
            " is another. `workflows show` tells the steps it has taken."
        )

    @cache  # not read where the graph alone is asked for
    def read() -> tuple[Sequence[Entry], int, Sequence[Wait]]:
        entries, before = History(execution.id).drawn(most)
        return entries, before, wiring.store().waits(execution.id, status=WaitStatus.OPEN)

    def way() -> tuple[Execution, Sequence[Entry], Sequence[Wait]]:
        entries, _before, waits = read()
        return execution, entries, waits

    return _Found(
        made, lambda: pictures.rows(*way()), lambda: pictures.svg(*way()), lambda: read()[1]
    )


def _format(options: Mapping[str, Any]) -> str:
    if options["format"]:
        return str(options["format"])
    return _BY_SUFFIX.get(Path(options["output"] or "").suffix.lower(), "text")


def _drawn(found: _Found, chosen: str) -> str:
    if chosen == "svg":
        return found.svg() + "\n"
    if chosen == "mermaid":
        return mermaid(found.graph)
    if chosen == "dot":
        return dot(found.graph)
    text = _Text()
    _table(found, Columns(text))
    return text.getvalue()


class _Text(StringIO):
    """Collects what a screen shows."""

    def write(self, text: str = "", /, *, ending: str | None = None) -> int:
        """See Output.write()."""
        return super().write(text + ("\n" if ending is None else ending))


def _table(found: _Found, screen: Screen) -> None:
    rows = [
        [
            row.step,
            row.kind,
            Words(row.state, _TONES.get(row.mark, "")),
            str(row.visits) if row.visits else "",
            ", ".join(row.goes_to),
        ]
        for row in found.rows()
    ]
    screen.table(_HEADINGS, rows)


def _tell_earlier(found: _Found, screen: Screen) -> None:
    number = found.earlier()
    if number and screen.is_live:
        screen.say(f"Of the last {MOST_DRAWN:,} entries, and not of {number:,} before; --all is.")


def _write_file(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unreadable(f"{path!r} cannot be written: {reason}.") from error

"""``workflows watch``."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django_workflows import api, wiring
from django_workflows.core.definition import plain_path
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.waits import WaitStatus
from django_workflows.management.screens import (
    Bar,
    Output,
    Screen,
    Words,
    clip,
    screen_of,
    write_json,
)
from django_workflows.management.verbs.base import Code, Verb, code_of, named, seconds
from django_workflows.management.verbs.histories import MOST, History
from django_workflows.management.verbs.people import add_as, seen, user_of
from django_workflows.management.verbs.showing import (
    entry_row,
    show_execution,
    tell_earlier,
)
from django_workflows.pictures import graph

#: Signs of a reason that stands beside a bar.
LONGEST_WHY = 60

#: Seconds between two looks, unless said otherwise.
INTERVAL = 0.5

#: The least there is between two: more looks would only keep the database from its work.
SHORTEST = 0.05


class Watch(Verb):
    """
    Follow an execution until it ends, or with --halt until it waits for somebody.

    What has happened so far comes first, of much the last. Ctrl-C ends the watching, not the
    execution. The exit code tells the end: 0 completed, 1 failed or cancelled, 3 halted, 124 timed
    out, 130 Ctrl-C.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        parser.add_argument("id", type=named, metavar="ID")
        parser.add_argument("--halt", action="store_true", help="end where it halts as well")
        parser.add_argument(
            "--all",
            action="store_true",
            help=f"begin with all that has happened so far; default: with {MOST} entries",
        )
        parser.add_argument(
            "--timeout", type=seconds, metavar="SECONDS", help="give up after that; default: never"
        )
        parser.add_argument(
            "--interval",
            type=seconds,
            default=INTERVAL,
            metavar="SECONDS",
            help=f"between two looks; default: {INTERVAL}",
        )
        add_as(parser)

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        screen = screen_of(options, out)
        execution = seen(user_of(options), options["id"])
        if options["json"]:
            return _follow(options, execution.id, _Json(out))
        drawn = graph.of_execution(execution)
        nodes = (drawn or {}).get("nodes", ())
        names = [node["id"] for node in nodes if not node["scope"]]
        with screen.progress(len(names) or None, execution.workflow_id) as bar:
            code = _follow(options, execution.id, _Told(screen, bar, names))
        show_execution(api.get(execution.id), screen)
        return code


@dataclass
class _Seen:
    """What was told of an execution so far."""

    history: History
    mark: tuple[object, ...] = ()  # changes with every write


class _Told:
    """Tells people what is new."""

    def __init__(self, screen: Screen, bar: Bar, names: list[str]) -> None:
        self.screen = screen
        self.bar = bar
        self.names = names

    def earlier(self, number: int) -> None:
        """Tell that the history has more than what is told of it."""
        tell_earlier(number, self.screen)

    def entry(self, entry: Entry) -> None:
        """Tell a line of the history."""
        cells = entry_row(entry)
        if not self.screen.is_live:
            self.screen.table((), [cells])
            return
        at, step, what, attempt, took, by, error = cells
        again = f", attempt {attempt}" if entry.attempt > 1 else ""
        who = f" by {by}" if by else ""
        tone = what.tone if isinstance(what, Words) else ""
        words = f"{at}  {step} {what}{again}{who}{f', {took}' if took else ''}"
        self.screen.say(Words(f"{words}{f': {error}' if error else ''}", tone))

    def status(self, execution: Execution) -> None:
        """Tell where it stands now."""
        why = api.explain(execution.id)
        if not self.screen.is_live:
            if execution.status == ExecutionStatus.HALTED:
                self.screen.table((), [[execution.id, execution.status.value, why]])
            return
        top = plain_path(execution.current_step or "").partition("/")[0]
        done = self.names.index(top) if top in self.names else 0
        is_over = execution.status == ExecutionStatus.COMPLETED
        self.bar.advance(len(self.names) if is_over else done, clip(why, LONGEST_WHY))


class _Json:
    """Tells programs what is new: an object in each line, and at the end the execution."""

    def __init__(self, out: Output) -> None:
        self.out = out

    def earlier(self, number: int) -> None:
        """See _Told.earlier()."""
        if number:
            write_json(self.out, {"earlier_entries": number}, is_line=True)

    def entry(self, entry: Entry) -> None:
        """See _Told.entry()."""
        write_json(self.out, {"entry": entry.to_dict()}, is_line=True)

    def status(self, execution: Execution) -> None:
        """See _Told.status()."""
        waits = wiring.store().waits(execution.id, status=WaitStatus.OPEN)
        data = {**execution.to_dict(), "waits": [wait.to_dict() for wait in waits]}
        write_json(self.out, {"execution": data}, is_line=True)


def _follow(options: Mapping[str, Any], execution_id: str, teller: _Told | _Json) -> int:
    """Look again and again, and return the exit code."""
    deadline = None if options["timeout"] is None else time.monotonic() + options["timeout"]
    told = _Seen(History(execution_id))
    most = None if options["all"] else MOST
    while True:
        # The user is read anew each time: the right to see it may be taken away.
        execution = seen(user_of(options), execution_id)
        _tell(execution, told, teller, most)
        if execution.status.is_final:
            return code_of(execution.status)
        if options["halt"] and execution.status == ExecutionStatus.HALTED:
            return Code.HALTED
        if deadline is not None and time.monotonic() >= deadline:
            return Code.TIMED_OUT
        left = options["interval"] if deadline is None else deadline - time.monotonic()
        time.sleep(max(SHORTEST, min(options["interval"], left)))


def _tell(execution: Execution, told: _Seen, teller: _Told | _Json, most: int | None) -> None:
    """Tell what is new since the last look; what was told, or not written since, is not read."""
    mark = (execution.updated_at, execution.status, execution.fence, execution.current_step)
    if mark == told.mark:
        return
    if told.mark:
        entries = told.history.new()
    else:
        entries, before = told.history.last(most)
        teller.earlier(before)
    for entry in entries:
        teller.entry(entry)
    teller.status(execution)
    told.mark = mark

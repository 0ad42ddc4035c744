"""``workflows show``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django_workflows import api, wiring
from django_workflows.core.waits import WaitStatus
from django_workflows.management.screens import Words, screen_of, write_json
from django_workflows.management.verbs.base import Code, Output, Verb, named, positive
from django_workflows.management.verbs.histories import MOST, History
from django_workflows.management.verbs.people import add_as, seen, user_of
from django_workflows.management.verbs.showing import (
    ENTRY_HEADINGS,
    WAIT_HEADINGS,
    as_data,
    entry_row,
    facts_of,
    tell_earlier,
    wait_row,
)

#: Entries of the history that are shown, unless said otherwise.
HISTORY = 20


class Show(Verb):
    """Show an execution: why it is where it is, its data, what it waits for and its history."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        parser.add_argument("id", type=named, metavar="ID")
        parser.add_argument("--full", action="store_true", help="all of its data, and tracebacks")
        parser.add_argument(
            "--history",
            type=positive,
            metavar="N",
            help=f"the last entries that are shown; default: {HISTORY}, with --json {MOST}",
        )
        parser.add_argument("--all", action="store_true", help="all entries of the history")
        add_as(parser)

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        execution = seen(user_of(options), options["id"])
        store, why = wiring.store(), api.explain(execution.id)
        entries, before = History(execution.id).last(_most(options))
        if options["json"]:
            waits = store.waits(execution.id)
            write_json(out, as_data(execution, why, entries, waits) | {"earlier_entries": before})
            return Code.DONE
        screen = screen_of(options, out)
        screen.facts(facts_of(execution, why, screen, whole=options["full"]))
        # In a pipe each line says what it is of, so that one can be told from the other.
        lead = [] if screen.has_headings else ["wait"]
        opened = store.waits(execution.id, status=WaitStatus.OPEN)
        if opened:
            screen.title("Waits for")
            # Without the execution, which is this one.
            screen.table(
                WAIT_HEADINGS[1:], [[*lead, *wait_row(wait, screen)[1:]] for wait in opened]
            )
        lead = [] if screen.has_headings else ["entry"]
        if entries:
            screen.title("History")
            tell_earlier(before, screen)
            screen.table(ENTRY_HEADINGS, [[*lead, *entry_row(entry)] for entry in entries])
        failed = [entry for entry in entries if entry.traceback]
        if options["full"] and failed:
            screen.title(f"Traceback at {failed[-1].step_id}")
            for line in (failed[-1].traceback or "").splitlines():
                if screen.has_headings:
                    screen.say(Words(line, "faint"))
                else:
                    screen.table((), [["traceback", line]])
        return Code.DONE


def _most(options: Mapping[str, Any]) -> int | None:
    if options["all"] or options["full"]:
        return None
    return options["history"] or (MOST if options["json"] else HISTORY)

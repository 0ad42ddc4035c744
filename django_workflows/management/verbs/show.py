"""``workflows show``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django_workflows import api, wiring
from django_workflows.management.screens import Words, screen_of, write_json
from django_workflows.management.verbs.base import Code, Output, Verb, named, positive
from django_workflows.management.verbs.people import add_as, seen, user_of
from django_workflows.management.verbs.showing import (
    ENTRY_HEADINGS,
    WAIT_HEADINGS,
    as_data,
    entry_row,
    facts_of,
    wait_row,
    waiting_at,
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
            default=HISTORY,
            metavar="N",
            help=f"the last entries that are shown; default: {HISTORY}",
        )
        add_as(parser)

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        execution = seen(user_of(options), options["id"])
        store, why = wiring.store(), api.explain(execution.id)
        entries, waits = store.entries(execution.id), store.waits(execution.id)
        if options["json"]:
            write_json(out, as_data(execution, why, entries, waits))
            return Code.DONE
        screen = screen_of(options, out)
        screen.facts(facts_of(execution, why, screen, whole=options["full"]))
        # In a pipe each line says what it is of, so that one can be told from the other.
        lead = [] if screen.has_headings else ["wait"]
        opened = waiting_at(waits)
        if opened:
            screen.title("Waits for")
            # Without the execution, which is this one.
            screen.table(
                WAIT_HEADINGS[1:], [[*lead, *wait_row(wait, screen)[1:]] for wait in opened]
            )
        lead = [] if screen.has_headings else ["entry"]
        shown = entries if options["full"] else entries[-options["history"] :]
        if shown:
            left = len(entries) - len(shown)
            before = f", after {left:,} earlier ones" if left else ""
            screen.title(f"History{before}")
            screen.table(ENTRY_HEADINGS, [[*lead, *entry_row(entry)] for entry in shown])
        failed = [entry for entry in entries if entry.traceback]
        if options["full"] and failed:
            screen.title(f"Traceback at {failed[-1].step_id}")
            for line in (failed[-1].traceback or "").splitlines():
                if screen.has_headings:
                    screen.say(Words(line, "faint"))
                else:
                    screen.table((), [["traceback", line]])
        return Code.DONE

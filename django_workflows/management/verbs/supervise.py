"""``workflows supervise``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django_workflows import wiring
from django_workflows.management.screens import write_json
from django_workflows.management.verbs.base import Output, Verb
from django_workflows.supervisor import sweep
from django_workflows.workers import Attendance
from django_workflows.workers.pool import stop_on_signals


class Supervise(Verb):
    """
    Look for what nobody drives, again and again, until SIGTERM or Ctrl-C.

    Every worker does so as well. Any number may run at once.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        parser.add_argument("--once", action="store_true", help="look once, and end")

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        if options["once"]:
            woken = sweep()
            if options["json"]:
                write_json(out, {"woken": woken})
            else:
                out.write(f"Woke {woken} executions.")
            return 0
        if options["json"]:
            write_json(out, {"supervising": True}, is_line=True)
        else:
            out.write("Supervising. Ctrl-C ends it.")
        out.flush()
        stop_on_signals(wiring.stopping)
        Attendance(wiring.stopping).supervise()
        return 0

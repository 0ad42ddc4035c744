"""``workflows worker``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django_workflows import wiring
from django_workflows.management.screens import write_json
from django_workflows.management.verbs.base import Output, Verb, named, positive
from django_workflows.workers import Worker
from django_workflows.workers.pool import Pool, stop_on_signals


class Work(Verb):
    """
    Drive executions until SIGTERM or Ctrl-C, and supervise.

    The step under way finishes first, and what comes after it is left to others.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        parser.add_argument(
            "--queues",
            nargs="+",
            type=named,
            default=[],
            metavar="QUEUE",
            help="to work on; default: all of them, with the RqAdapter its own",
        )
        parser.add_argument(
            "--processes",
            type=positive,
            default=1,
            metavar="N",
            help="processes; default: 1",
        )
        parser.add_argument(
            "--threads",
            type=positive,
            default=1,
            metavar="N",
            help="executions that each process drives at once; default: 1",
        )

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        adapter, stopping = wiring.adapter(), wiring.stopping
        worker = Worker(options["queues"], options["threads"], stopping)
        processes: int = options["processes"]
        unnamed = "every queue" if adapter.polls else adapter.queue
        if options["json"]:
            facts = {
                "adapter": type(adapter).__name__,
                "queues": list(worker.queues),
                "processes": processes,
                "threads": worker.threads,
            }
            write_json(out, facts, is_line=True)
        else:
            out.write(
                f"Working for {type(adapter).__name__} on {', '.join(worker.queues) or unnamed}:"
                f" {processes} x {worker.threads} executions at once."
                " Ctrl-C ends it after the current steps."
            )
        out.flush()
        stop_on_signals(stopping)
        if processes == 1:
            worker.run()
        else:
            Pool(processes, worker.run, stopping).run()
        return 0

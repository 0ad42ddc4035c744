"""``workflows purge``."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django_workflows import wiring
from django_workflows.conf import settings
from django_workflows.core import clock
from django_workflows.core.execution import FINAL_STATUSES, ExecutionStatus
from django_workflows.core.purging import BATCH, Purge
from django_workflows.exceptions import ConfigurationError
from django_workflows.management.screens import screen_of, write_json
from django_workflows.management.verbs.base import Output, Verb, named, positive, seconds
from django_workflows.workers.pool import stop_on_signals

#: Seconds between two batches, unless said otherwise: a batch takes about a twentieth of that, so
#: that whoever else uses the database hardly notices.
PAUSE = 1.0

#: A hundred years: nothing is older, and dates do not go back for ever.
MOST_DAYS = 36_500


def days(text: str) -> int:
    """Return ``text`` as a number of days; for argparse."""
    if not text.isdecimal() or int(text) > MOST_DAYS:
        raise ArgumentTypeError(f"{text!r} is no whole number of days from 0 to {MOST_DAYS}")
    return int(text)


def final(text: str) -> ExecutionStatus:
    """Return the final status ``text``; for argparse."""
    if text not in FINAL_STATUSES:
        known = ", ".join(status for status in ExecutionStatus if status.is_final)
        raise ArgumentTypeError(f"{text!r} is no status of what has ended; these are: {known}")
    return ExecutionStatus(text)


class PurgeEnded(Verb):
    """
    Delete executions that ended long ago, with their history and all below them.

    Ctrl-C or SIGTERM ends it after the current batch; what is left goes the next time.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        parser.add_argument(
            "--older-than",
            type=days,
            metavar="DAYS",
            help="days since the end; default: the setting RETENTION_DAYS",
        )
        parser.add_argument(
            "--workflow",
            nargs="+",
            action="extend",
            type=named,
            metavar="ID",
            help="only of these workflows, whether their code is still there or not",
        )
        parser.add_argument(
            "--status",
            nargs="+",
            action="extend",
            type=final,
            metavar="STATUS",
            help="only with these: completed, failed, cancelled; default: all of them",
        )
        parser.add_argument(
            "--batch",
            type=positive,
            default=BATCH,
            metavar="N",
            help=f"trees of executions at once; default: {BATCH}",
        )
        parser.add_argument(
            "--pause",
            type=seconds,
            default=PAUSE,
            metavar="SECONDS",
            help=f"between two batches; default: {PAUSE}",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only say how many would be deleted"
        )

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        before = clock.now() - timedelta(days=_older_than(options))
        purge, size = Purge(options["workflow"], options["status"]), options["batch"]
        store = wiring.store()
        if options["dry_run"]:
            found = purge.count(store, before, size)
            if options["json"]:
                write_json(out, {"executions": found.executions, "trees": found.roots})
                return 0
            trees = _counted(found.roots, "tree")
            out.write(f"Would delete {_counted(found.executions, 'execution')}, in {trees}.")
            return 0
        stop_on_signals(wiring.stopping)
        deleted, is_over = 0, False
        # How many there are, nobody counts beforehand: that would take as long.
        with screen_of(options, out).progress(None, "purge") as bar:
            while not (is_over or wiring.stopping.is_set()):
                batch = purge.batch(store, before, size)
                deleted, is_over = deleted + batch.deleted, batch.is_last
                bar.advance(deleted, _counted(deleted, "execution"))
                if not is_over:
                    wiring.stopping.wait(options["pause"])
        if options["json"]:
            write_json(out, {"deleted": deleted, "is_over": is_over})
            return 0
        rest = "" if is_over else " Stopped before the end: run it again for the rest."
        out.write(f"Deleted {_counted(deleted, 'execution')}.{rest}")
        return 0


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _older_than(options: Mapping[str, Any]) -> int:
    given: int | None = options["older_than"]
    if given is not None:
        return given
    kept: object = settings.RETENTION_DAYS
    if kept is None:
        raise ConfigurationError(
            "How long is kept what has ended? Say --older-than DAYS, or set"
            " WORKFLOWS['RETENTION_DAYS']."
        )
    if not (isinstance(kept, int) and 0 < kept <= MOST_DAYS):
        raise ConfigurationError(
            f"WORKFLOWS['RETENTION_DAYS'] is {kept!r}: it has to be a whole number of days from 1"
            f" to {MOST_DAYS}, or None."
        )
    return kept

"""``manage.py workflows``: workers, supervisors, and what a project's operators ask for."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_workflows.exceptions import WorkflowError
from django_workflows.management.verbs import VERBS, Verb


def _accept_everywhere(parser: ArgumentParser) -> None:
    """Accept Django's own options behind the verb as well, as other commands do anywhere."""
    own = parser.add_argument_group("options of every command")
    for name in ("--settings", "--pythonpath"):  # read before any command is looked for
        own.add_argument(name, default=SUPPRESS, help=SUPPRESS)
    for name in ("--traceback", "--no-color", "--force-color"):
        own.add_argument(name, action="store_true", default=SUPPRESS, help=SUPPRESS)
    own.add_argument("-v", "--verbosity", type=int, default=SUPPRESS, help=SUPPRESS)


class Command(BaseCommand):
    """Parse, call and answer: each verb is an object of its own."""

    help = "Run workers and supervisors of workflows, and look after them."
    # A worker is what makes the outside world see a project's mistakes last.
    requires_system_checks: list[str] = []
    verbs: Mapping[str, Verb] = VERBS

    def add_arguments(self, parser: CommandParser) -> None:
        """Add a subcommand for each verb."""
        subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        for name, verb in self.verbs.items():
            about = (verb.__doc__ or "").strip().partition("\n")[0]
            sub = subparsers.add_parser(name, help=about, description=about)
            verb.add_arguments(sub)
            _accept_everywhere(sub)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb. Its errors end the command with code 1, and no traceback."""
        try:
            code = self.verbs[options["verb"]].run(options, self.stdout)
        except WorkflowError as error:
            raise CommandError(str(error)) from error
        if code:
            raise SystemExit(code)

"""``manage.py workflows``: what a project's operators ask for, and who drives its workflows."""

from __future__ import annotations

import os
import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Mapping
from contextlib import suppress
from inspect import cleandoc
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from django_workflows.exceptions import WorkflowError
from django_workflows.management.verbs import VERBS, Verb
from django_workflows.management.verbs.base import Code
from django_workflows.management.verbs.errors import code_for


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

    help = "Start, watch and steer workflows; run their workers, and look after them."
    # A worker is what makes the outside world see a project's mistakes last.
    requires_system_checks: list[str] = []
    verbs: Mapping[str, Verb] = VERBS

    def add_arguments(self, parser: CommandParser) -> None:
        """Add a subcommand for each verb."""
        subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        for name, verb in self.verbs.items():
            text = cleandoc(verb.__doc__ or "")
            sub = subparsers.add_parser(name, help=text.partition("\n")[0], description=text)
            verb.add_arguments(sub)
            sub.add_argument(
                "--json", action="store_true", help="show it as JSON, for programs to read"
            )
            _accept_everywhere(sub)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb. Its errors end the command with a code of their own, and no traceback."""
        try:
            code = self.verbs[options["verb"]].run(options, self.stdout)
            self.stdout.flush()
        except WorkflowError as error:
            raise CommandError(str(error), returncode=code_for(error)) from error
        except (DatabaseError, ImproperlyConfigured) as error:
            raise CommandError(" ".join(f"{type(error).__name__}: {error}".split())) from error
        except KeyboardInterrupt:
            raise SystemExit(int(Code.INTERRUPTED)) from None
        except BrokenPipeError:
            # What is still buffered would be written on the way out, and fail again.
            _write_nowhere()
            raise SystemExit(int(Code.NOBODY_READS)) from None
        if code:
            raise SystemExit(int(code))


def _write_nowhere() -> None:
    with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())

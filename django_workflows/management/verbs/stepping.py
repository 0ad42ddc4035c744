"""``workflows cancel``, ``retry``, ``skip`` and ``fork``: one, or all that were piped in."""

from __future__ import annotations

from abc import abstractmethod
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, ClassVar

from django_workflows import api
from django_workflows.core.execution import Execution
from django_workflows.exceptions import StoreUnavailable, WorkflowError
from django_workflows.management.screens import Output, Screen, Words, screen_of, write_json
from django_workflows.management.verbs.base import Code, Verb, named
from django_workflows.management.verbs.errors import code_for
from django_workflows.management.verbs.people import add_as, permitted, user_of
from django_workflows.management.verbs.showing import show_execution
from django_workflows.management.verbs.values import (
    Unreadable,
    add_json,
    ids_of,
    json_of,
)


class Stepping(Verb):
    """
    Do one thing to each of the executions that the line names.

    What goes wrong with one is told, and keeps nobody from the others; the exit code is then that
    of the first.
    """

    action: ClassVar[str]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        parser.add_argument(
            "ids",
            nargs="+",
            type=named,
            metavar="ID",
            help="of executions; - for those piped in, one in each line",
        )
        parser.add_argument("--reason", default="", metavar="TEXT", help="the history keeps it")
        add_as(parser)

    @abstractmethod
    def do(self, execution: Execution, options: Mapping[str, Any], user: Any) -> Execution:
        """Do it to one, and return what it has become. Raise WorkflowError."""

    def prepare(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with what was piped in or is in files read, once for all."""
        return {**options, "ids": ids_of(options["ids"])}

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        user, screen = user_of(options), screen_of(options, out)
        options = self.prepare(options)
        ids: list[str] = options["ids"]
        if len(ids) == 1:
            self._show(self._one(ids[0], options, user), options, screen)
            return Code.DONE
        return self._all(ids, options, user, screen)

    def _all(self, ids: list[str], options: Mapping[str, Any], user: Any, screen: Screen) -> int:
        code, done = Code.DONE, 0
        with screen.progress(len(ids), self.action) as bar:
            for number, execution_id in enumerate(ids, start=1):
                try:
                    after = self._one(execution_id, options, user)
                except StoreUnavailable:
                    raise
                except WorkflowError as error:
                    code = code or code_for(error)
                    _tell_failure(execution_id, error, options, screen)
                else:
                    done += 1
                    self._show(after, options, screen, is_line=True)
                bar.advance(number, f"{number:,} of {len(ids):,}")
        if screen.is_live and not options["json"]:
            left = len(ids) - done
            refused = f"; {left:,} could not be" if left else ""
            words = f"{done:,} of {len(ids):,} done{refused}."
            screen.say(Words(words, "bad" if left else "good"))
        return code

    def _one(self, execution_id: str, options: Mapping[str, Any], user: Any) -> Execution:
        execution = permitted(user, self.action, execution_id)
        after = self.do(execution, options, user)
        return api.get(after.id)  # an adapter that drives inline has done so by now

    def _show(
        self,
        execution: Execution,
        options: Mapping[str, Any],
        screen: Screen,
        *,
        is_line: bool = False,
    ) -> None:
        if options["json"]:
            write_json(screen.out, execution.to_dict(), is_line=is_line)
        else:
            show_execution(execution, screen)


def _tell_failure(
    execution_id: str, error: WorkflowError, options: Mapping[str, Any], screen: Screen
) -> None:
    if options["json"]:
        failed = {"id": execution_id, "error": str(error), "code": int(code_for(error))}
        write_json(screen.out, failed, is_line=True)
    elif screen.is_live:
        screen.say(Words(f"✗ {error}", "bad"))
    else:
        screen.table((), [[execution_id, "error", str(error)]])


class Cancel(Stepping):
    """End executions that are under way, and their children."""

    action = "cancel"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        super().add_arguments(parser)
        parser.add_argument(
            "--compensate", action="store_true", help="undo first what the completed steps did"
        )

    def do(self, execution: Execution, options: Mapping[str, Any], user: Any) -> Execution:
        """See Stepping.do()."""
        compensate: bool = options["compensate"]
        return api.cancel(execution.id, options["reason"], user, compensate=compensate)


class Retry(Stepping):
    """Drive failed or cancelled executions again, from the step that failed."""

    action = "retry"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        super().add_arguments(parser)
        parser.add_argument(
            "--from", dest="step", type=named, metavar="STEP", help="begin at this step instead"
        )
        add_json(parser, "--input", "take this input instead")

    def prepare(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """See Stepping.prepare()."""
        _refuse_two_pipes(options, "input")
        given = None if options["input"] is None else json_of("--input", options["input"])
        if given is not None and not isinstance(given, dict):
            raise Unreadable("--input must be an object of fields.")
        return {**super().prepare(options), "input": given}

    def do(self, execution: Execution, options: Mapping[str, Any], user: Any) -> Execution:
        """See Stepping.do()."""
        return api.retry(execution.id, options["step"], options["input"], user, options["reason"])


class Skip(Stepping):
    """Take the step at which executions failed or halt as done, and go on after it."""

    action = "skip"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        super().add_arguments(parser)
        add_json(parser, "--output", "what the step is taken to have returned")

    def prepare(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """See Stepping.prepare()."""
        _refuse_two_pipes(options, "output")
        given = None if options["output"] is None else json_of("--output", options["output"])
        return {**super().prepare(options), "output": given}

    def do(self, execution: Execution, options: Mapping[str, Any], user: Any) -> Execution:
        """See Stepping.do()."""
        return api.skip(execution.id, options["output"], options["reason"], user)


class Fork(Stepping):
    """Start a new execution at a step of each, with its input and variables as they were there."""

    action = "fork"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        super().add_arguments(parser)
        parser.add_argument(
            "--from", dest="step", type=named, required=True, metavar="STEP", help="begin there"
        )

    def do(self, execution: Execution, options: Mapping[str, Any], user: Any) -> Execution:
        """See Stepping.do()."""
        return api.fork(execution.id, options["step"], user, options["reason"])


def _refuse_two_pipes(options: Mapping[str, Any], name: str) -> None:
    if options[name] == "-" and "-" in options["ids"]:
        raise Unreadable(f"Only one thing can be piped in: the ids, or --{name}.")

"""``workflows start`` and ``workflows run``."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.apps import apps

from django_workflows import api, signals
from django_workflows.core.definition import WorkflowDefinition, plain_path
from django_workflows.core.execution import Event, ExecutionResult
from django_workflows.core.waits import WaitKind
from django_workflows.core.workflow import registry
from django_workflows.management.screens import (
    Bar,
    Output,
    Screen,
    Tone,
    Words,
    compact,
    screen_of,
    write_json,
)
from django_workflows.management.verbs.base import Code, Verb, code_of, named, seconds
from django_workflows.management.verbs.people import add_as, permitted_to_start, user_of
from django_workflows.management.verbs.showing import show_execution, status_words, when
from django_workflows.management.verbs.values import add_json, input_of


def whole(text: str) -> int:
    """Return ``text`` as a whole number; for argparse."""
    try:
        return int(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no whole number") from error


def subject(text: str) -> str:
    """Return ``text``, which has to name an instance; for argparse."""
    model, colon, key = text.partition(":")
    if not (colon and key) or model.count(".") != 1:
        raise ArgumentTypeError(f"{text!r} is no APP.MODEL:PK, such as shop.order:7")
    try:
        apps.get_model(model)
    except LookupError as error:
        raise ArgumentTypeError(str(error)) from error
    return f"{model.lower()}:{key}"


class _Starting(Verb):
    """What start and run have in common."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        parser.add_argument("name", type=named, metavar="NAME", help="a workflow's id")
        parser.add_argument(
            "pairs",
            nargs="*",
            metavar="KEY=VALUE",
            help="input, right behind the name; text, or JSON where the field is no text",
        )
        add_json(parser, "--input", "input")
        parser.add_argument("--id", type=named, metavar="UUID", help="of the new execution")
        parser.add_argument(
            "--key", type=named, help="the same again returns the first execution instead"
        )
        parser.add_argument(
            "--subject", type=subject, metavar="APP.MODEL:PK", help="the instance it is about"
        )
        parser.add_argument("--queue", type=named, help="of the workers that are to drive it")
        parser.add_argument("--priority", type=whole, metavar="N", help="higher goes first")
        add_as(parser)

    def given(self, options: Mapping[str, Any]) -> tuple[WorkflowDefinition, dict[str, Any]]:
        """Return the workflow, and what api.start() and api.run() take. Raise NotAllowed."""
        user = user_of(options)
        definition = registry.whole(options["name"])
        permitted_to_start(user, definition.id)
        fields = {
            "input": input_of(definition.input, options["input"], options["pairs"]),
            "execution_id": options["id"],
            "idempotency_key": options["key"],
            "subject": options["subject"],
            "queue": options["queue"],
            "priority": options["priority"],
            "by": user,
        }
        return definition, fields


class Start(_Starting):
    """Start an execution, for a worker to drive; show its id."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        super().add_arguments(parser)
        parser.add_argument(
            "--delay", type=seconds, metavar="SECONDS", help="before it is to be driven"
        )

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        definition, fields = self.given(options)
        started = api.start(definition, **fields, delay=options["delay"])
        execution = api.get(started.id)  # an adapter that drives inline has done so by now
        if options["json"]:
            write_json(out, execution.to_dict())
        else:
            show_execution(execution, screen_of(options, out))
        return Code.DONE


class Run(_Starting):
    """
    Run an execution here, in this process, until it completes, halts or fails.

    What happens is told line by line; the exit code tells the end: 0, 1 failed, 3 halted.
    """

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        definition, fields = self.given(options)
        screen = screen_of(options, out)
        if options["json"]:
            result = api.run(definition, **fields)
            write_json(out, api.get(result.execution_id).to_dict())
            return code_of(result.status)
        with told(definition, screen):
            result = api.run(definition, **fields)
        show_result(result, screen)
        return code_of(result.status)


_TONES: dict[str, Tone] = {
    "step.completed": "good",
    "step.failed": "bad",
    "workflow.failed": "bad",
    "workflow.halted": "waiting",
}


@contextmanager
def told(definition: WorkflowDefinition, screen: Screen) -> Iterator[None]:
    """Show what happens to executions of a workflow that are driven in this process."""
    names = list(definition.graph.steps)

    with screen.progress(len(names), definition.id) as bar:

        def receive(event: Event, **_: Any) -> None:
            if event.workflow_id == definition.id:
                _tell(event, names, bar, screen)

        watched = (signals.workflow_started, signals.step_finished, signals.workflow_halted)
        for signal in watched:
            signal.connect(receive, weak=False)
        try:
            yield
        finally:
            for signal in watched:
                signal.disconnect(receive)


def _tell(event: Event, names: list[str], bar: Bar, screen: Screen) -> None:
    what = " ".join(filter(None, [event.name, event.step]))
    error = f": {event.data['error']}" if event.data.get("error") else ""
    cells = (when(event.timestamp), what + error)
    if screen.is_live:
        screen.say(Words("  ".join(cells), _TONES.get(event.name, "")))
    else:
        screen.table((), [cells])
    top = plain_path(event.step or "").partition("/")[0]
    if top in names:
        bar.advance(names.index(top) + 1, top)


def _decision(result: ExecutionResult) -> str:
    """Return the options that an answer takes, where it is the only one there is."""
    if len(result.waits) != 1 or result.waits[0].kind != WaitKind.APPROVAL:
        return ""
    return " --approve" + (" --as USER" if result.waits[0].approvers else "")


def show_result(result: ExecutionResult, screen: Screen) -> None:
    """Show how a drive came to its end."""
    execution = api.get(result.execution_id)
    show_execution(execution, screen)
    if screen.is_live and execution.result is not None:
        screen.say(f"Result: {compact(execution.result)}")
    for wait in result.waits if screen.is_live else ():
        screen.say(f"{status_words(result.status, screen)} at {wait.step}: {wait.prompt or ''}")
    if screen.is_live and result.waits:
        screen.say(
            f"Go on with: manage.py workflows resume {result.execution_id}{_decision(result)}"
        )

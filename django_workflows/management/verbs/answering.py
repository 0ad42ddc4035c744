"""``workflows resume`` and ``workflows send``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django_workflows import api, wiring
from django_workflows.core.decisions import choose_wait
from django_workflows.core.engine.answering import find_wait
from django_workflows.core.execution import Execution, ExecutionResult
from django_workflows.core.waits import WaitStatus
from django_workflows.core.workflow import registry
from django_workflows.exceptions import NotAllowed
from django_workflows.management.screens import Output, screen_of, write_json
from django_workflows.management.verbs.base import Code, Verb, code_of, named
from django_workflows.management.verbs.people import add_as, seen, user_of
from django_workflows.management.verbs.showing import show_execution
from django_workflows.management.verbs.starting import show_result, told
from django_workflows.management.verbs.values import SOURCES, add_json, json_of
from django_workflows.permissions import authorize, authorize_answer


class Resume(Verb):
    """
    Answer what an execution waits for: decide an approval, or give a halt its response.

    An approval that names its approvers has to know who decides: say so by --as.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        parser.add_argument("id", type=named, metavar="ID")
        decision = parser.add_mutually_exclusive_group()
        decision.add_argument("--approve", dest="approved", action="store_true", default=None)
        decision.add_argument("--reject", dest="approved", action="store_false")
        said = parser.add_mutually_exclusive_group()
        said.add_argument(
            "--response", metavar="JSON", help=f"what the execution goes on with: {SOURCES}"
        )
        said.add_argument("--comment", metavar="TEXT", help="a response that is plain text")
        parser.add_argument(
            "--step", type=named, metavar="PATH", help="which one, where it waits at several"
        )
        parser.add_argument(
            "--wait", action="store_true", help="drive it here, and tell how that ends"
        )
        add_as(parser)

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        user, screen = user_of(options), screen_of(options, out)
        execution = seen(user, options["id"])
        if not options["wait"]:
            after = _answer(options, execution, user)
            _show(options, api.get(after), out)
            return Code.DONE
        if options["json"]:
            after = _answer(options, execution, user)
            _show(options, api.get(after), out)
        else:
            with told(registry[execution.workflow_id], screen):
                after = _answer(options, execution, user)
            show_result(_result(after), screen)
        return code_of(api.get(after).status)


def _result(execution_id: str) -> ExecutionResult:
    execution = api.get(execution_id)
    return execution.to_result(wiring.store().waits(execution_id, status=WaitStatus.OPEN))


def _meant(execution: Execution, step: str | None, user: Any) -> tuple[str, str]:
    """Return the execution, of its children too, and the wait that ``user`` may answer."""
    store = wiring.store()
    target, named = find_wait(store, execution.id, step)
    asked = store.load(target)
    wait = choose_wait(asked, store.waits(target), named)
    authorize_answer(user, asked, wait)
    return target, wait.id


def _answer(options: Mapping[str, Any], execution: Execution, user: Any) -> str:
    response = options["comment"]
    if options["response"] is not None:
        response = json_of("--response", options["response"])
    target, step = execution.id, options["step"]
    if user is not None:
        target, step = _meant(execution, step, user)
    try:
        api.resume(
            target,
            response=response,
            approved=options["approved"],
            step=step,
            by=user,
            wait=options["wait"],
        )
    except NotAllowed as error:
        if user is not None:
            raise
        raise NotAllowed(f"{error} On the command line that is --as USER.") from error
    return execution.id


def _show(options: Mapping[str, Any], execution: Execution, out: Output) -> None:
    if options["json"]:
        write_json(out, execution.to_dict())
    else:
        show_execution(execution, screen_of(options, out))


class Send(Verb):
    """Send an event to the execution that has waited for it the longest, or that will."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        parser.add_argument("event", type=named, metavar="EVENT", help="its name")
        parser.add_argument("key", nargs="?", default="", metavar="KEY", help="whom it is about")
        add_json(parser, "--data", "what the step that waits gets as its output")
        parser.add_argument(
            "--idempotency-key", metavar="KEY", help="sent again with the same one, it is the first"
        )
        add_as(parser)

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        user = user_of(options)
        if user is not None:
            authorize(user, "resume")
        data = None if options["data"] is None else json_of("--data", options["data"])
        event = api.send_event(
            options["event"],
            options["key"],
            data,
            by=user,
            idempotency_key=options["idempotency_key"],
        )
        if options["json"]:
            write_json(out, event.to_dict())
        else:
            screen_of(options, out).say(f"Sent {event.topic}.")
        return Code.DONE

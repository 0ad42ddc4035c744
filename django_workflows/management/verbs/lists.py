"""``workflows list``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from django_workflows import reports, wiring
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.execution import FINAL_STATUSES, Execution, ExecutionStatus
from django_workflows.core.ids import canonical
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.core.workflow import registry
from django_workflows.exceptions import ConfigurationError
from django_workflows.management.screens import Screen, clip, screen_of, write_json
from django_workflows.management.verbs.base import Code, Output, Verb, named, positive
from django_workflows.management.verbs.people import add_as, user_of
from django_workflows.management.verbs.showing import (
    LONGEST,
    WAIT_HEADINGS,
    execution_row,
    headings,
    wait_row,
)
from django_workflows.models import WorkflowExecution, WorkflowWait
from django_workflows.permissions import may
from django_workflows.stores.orm import OrmStore

#: How many are listed, unless said otherwise.
LIMIT = 50

#: More than there are of what is under way.
ALL = 10_000_000


class List(Verb):
    """
    List executions, the newest first; or workflows, or what waits for a decision.

    In a pipe each is a line of fields separated by tabs, the id first.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Verb.add_arguments()."""
        parser.add_argument(
            "what",
            nargs="?",
            choices=["executions", "workflows", "approvals"],
            default="executions",
            help="default: executions",
        )
        parser.add_argument("--workflow", type=named, metavar="ID", help="only of this one")
        parser.add_argument(
            "--status",
            choices=[status.value for status in ExecutionStatus],
            help="executions: only with this one",
        )
        parser.add_argument(
            "--subject",
            type=named,
            metavar="APP.MODEL:PK",
            help="executions: only those about this instance",
        )
        parser.add_argument(
            "--parent", type=named, metavar="ID", help="executions: only children of this one"
        )
        parser.add_argument(
            "--limit",
            type=positive,
            default=LIMIT,
            metavar="N",
            help=f"at most so many; default: {LIMIT}",
        )
        add_as(parser)

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        user, screen = user_of(options), screen_of(options, out)
        what: str = options["what"]
        if what == "workflows":
            _workflows(options, user, screen)
        elif what == "approvals":
            _approvals(options, user, screen)
        else:
            _executions(options, user, screen)
        return Code.DONE


def _executions(options: Mapping[str, Any], user: Any, screen: Screen) -> None:
    found = _found(options, user)
    if options["json"]:
        write_json(screen.out, [execution.to_dict() for execution in found])
        return
    _table(screen, headings(screen), [execution_row(one, screen) for one in found])
    _tell_limit(options, len(found), screen)


def _found(options: Mapping[str, Any], user: Any) -> list[Execution]:
    names = {"workflow": "workflow_id", "status": "status", "subject": "subject"}
    wanted = {column: options[name] for name, column in names.items() if options[name]}
    limit: int = options["limit"]
    if user is None:
        return wiring.store().find(limit=limit, parent=options["parent"], **wanted)
    store = _rows_of("list --as")
    if options["parent"]:
        wanted["parent"] = canonical(options["parent"])
        if wanted["parent"] is None:  # no id, so nothing's
            return []
    rows = WorkflowExecution.objects.using(store.using).visible_to(user).filter(**wanted)
    return [row.to_core() for row in rows.order_by("-created_at", "-id")[:limit]]


def _approvals(options: Mapping[str, Any], user: Any, screen: Screen) -> None:
    limit: int = options["limit"]
    found: list[Wait]
    if user is None:
        found = _open_approvals(options["workflow"], limit)
    else:
        _rows_of("list approvals --as")
        rows = reports.inbox(user)
        if options["workflow"]:
            rows = rows.filter(execution__workflow_id=options["workflow"])
        found = [row.to_core() for row in rows[:limit]]
    if options["json"]:
        write_json(screen.out, [wait.to_dict() for wait in found])
        return
    _table(screen, WAIT_HEADINGS, [wait_row(wait, screen) for wait in found])
    _tell_limit(options, len(found), screen)


def _open_approvals(workflow_id: str | None, limit: int) -> list[Wait]:
    """Return what anybody is asked, the oldest first; of one workflow, or of all."""
    store = wiring.store()
    if workflow_id is None:
        return store.find_waits(kind=WaitKind.APPROVAL, limit=limit)
    if isinstance(store, OrmStore):
        rows = WorkflowWait.objects.using(store.using).filter(
            status=WaitStatus.OPEN, kind=WaitKind.APPROVAL, execution__workflow_id=workflow_id
        )
        return [row.to_core() for row in rows.order_by("opened_at", "id")[:limit]]
    # Others know a wait by its execution alone, and that by its workflow.
    of_it = {
        execution_id
        for status in set(ExecutionStatus) - FINAL_STATUSES
        for execution_id in store.execution_ids(workflow_id, status, limit=ALL)
    }
    found = store.find_waits(kind=WaitKind.APPROVAL, limit=ALL)
    return list(islice((one for one in found if one.execution_id in of_it), limit))


def _workflows(options: Mapping[str, Any], user: Any, screen: Screen) -> None:
    wanted: str | None = options["workflow"]
    definitions = [registry.whole(wanted)] if wanted else [*registry.values()]
    if user is not None:
        definitions = [one for one in definitions if _may_know(user, one)]
    found = list(islice(sorted(definitions, key=lambda one: one.id), options["limit"]))
    if options["json"]:
        write_json(screen.out, [_described(definition) for definition in found])
        return
    rows = [
        [
            definition.id,
            definition.version,
            str(sum(1 for _ in definition.graph.walk())),
            ", ".join(_inputs(definition)),
            clip(definition.description.partition("\n")[0], LONGEST),
        ]
        for definition in found
    ]
    _table(screen, ("ID", "VERSION", "STEPS", "INPUT", "ABOUT"), rows)
    _tell_limit(options, len(found), screen)


def _may_know(user: Any, definition: WorkflowDefinition) -> bool:
    return any(may(user, action, workflow_id=definition.id) for action in ("view", "start"))


def _described(definition: WorkflowDefinition) -> dict[str, Any]:
    return {
        "id": definition.id,
        "name": definition.name,
        "version": definition.version,
        "description": definition.description,
        "input": definition.input.schema(),
    }


def _inputs(definition: WorkflowDefinition) -> list[str]:
    schema = definition.input.schema()
    needed = schema.get("required", ())
    return [name if name in needed else f"[{name}]" for name in schema.get("properties", ())]


def _rows_of(what: str) -> OrmStore:
    """Return the store where it is one whose rows can be narrowed to what a user may see."""
    store = wiring.store()
    if not isinstance(store, OrmStore):
        raise ConfigurationError(
            f"{what} needs the OrmStore: {type(store).__name__} has no rows to narrow down."
        )
    return store


def _table(screen: Screen, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows or not screen.is_live:
        screen.table(headings, rows)
    else:
        screen.say("There is none.")


def _tell_limit(options: Mapping[str, Any], number: int, screen: Screen) -> None:
    if screen.is_live and number == options["limit"]:
        screen.say(f"The first {number}; --limit N lists more.")

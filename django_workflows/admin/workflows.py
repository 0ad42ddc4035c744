"""The workflows: what is registered here, how each looks, runs and fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_workflows import reports
from django_workflows.admin import columns, texts
from django_workflows.admin.base import EXECUTION, EXECUTIONS, Link, Page, page
from django_workflows.admin.readable import readable
from django_workflows.admin.starting import StartPage
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.graph import export
from django_workflows.core.validation import problems
from django_workflows.core.workflow import registry
from django_workflows.exceptions import UnknownWorkflow
from django_workflows.models import WorkflowExecution, WorkflowVersion
from django_workflows.permissions import authorize, may, sees_all
from django_workflows.pictures import graph

#: So many of a workflow's executions are shown on its page.
MOST_RECENT = 10

Counted = Mapping[ExecutionStatus, reports.Count]


@page
class WorkflowsPage(Page):
    """The list, with counts."""

    name = "workflows"
    path = "workflows/"
    title = _("Workflows")
    template = "admin/django_workflows/workflows.html"
    nav = 50

    def get(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        """Show those that the user may view or start, and those of which executions are left."""
        user = request.user
        counted = reports.per_workflow(WorkflowExecution.objects.visible_to(user))
        known = [
            _listed(request, definition, counted.get(definition.id, {}))
            for definition in registry.values()
            if may_see(user, definition.id)
        ]
        parts = {part for whole in registry.values() for part in whole.parts}
        unknown = sorted(set(counted) - set(registry) - parts)
        return {
            "workflows": known,
            "statuses": [texts.status_badge(status) for status in ExecutionStatus],
            "unknown": [
                {
                    "id": name,
                    "url": WorkflowPage.url(workflow_id=name),
                    "counts": _cells(name, counted[name]),
                }
                for name in unknown
            ],
        }


@page
class WorkflowPage(Page):
    """One workflow: graph, versions, input, steps with their times, problems, recent executions."""

    name = "workflow"
    path = "workflows/<path:workflow_id>/"
    title = _("Workflow")
    template = "admin/django_workflows/workflow.html"

    def get(self, request: HttpRequest, workflow_id: str = "", **kwargs: Any) -> dict[str, Any]:
        """Raise NotAllowed; UnknownWorkflow where nothing is left of it."""
        user = request.user
        visible = WorkflowExecution.objects.visible_to(user).filter(workflow_id=workflow_id)
        recent = list(visible.defer(*columns.HEAVY)[:MOST_RECENT])
        versions = list(WorkflowVersion.objects.filter(workflow_id=workflow_id).defer("graph"))
        known = workflow_id in registry
        if not known and not recent:
            raise UnknownWorkflow(workflow_id, registry.ids())
        if not recent and not may_see(user, workflow_id):
            authorize(user, "view", workflow_id=workflow_id)
        columns.add_whys(recent)
        context: dict[str, Any] = {
            "title": workflow_id,
            "parents": [Link(title=WorkflowsPage.title, url=WorkflowsPage.url())],
            "workflow_id": workflow_id,
            "recent": [_recent(row) for row in recent],
            "list_url": _list_url(workflow_id),
            "counts": _cells(workflow_id, reports.counts(visible)),
            "versions": [
                {"version": one.version, "url": _list_url(workflow_id, version=one.version)}
                for one in versions
            ],
            # A part is started by its step alone.
            "may_start": workflow_id in set(registry)
            and may(user, "start", workflow_id=workflow_id),
            "start_url": StartPage.url(workflow_id=workflow_id),
        }
        if known:
            # They are taken over all executions, and nobody is told of what they may not view.
            context |= described(registry[workflow_id], sees_times=sees_all(user))
        return context


def may_see(user: Any, workflow_id: str) -> bool:
    """Say whether the user may look at a workflow: who may start it has to know what it is."""
    return any(may(user, action, workflow_id=workflow_id) for action in ("view", "start"))


def described(definition: WorkflowDefinition, *, sees_times: bool) -> dict[str, Any]:
    """Return what a definition says of itself, and how long its steps take."""
    times = reports.step_times(definition.id) if sees_times else []
    by_step = {one.step: one for one in times}
    rows = graph.rows_of_graph(export(definition))
    known = {row.step for row in rows}
    return {
        "definition": definition,
        "picture": graph.of_workflow(definition),
        "problems": problems(definition),
        "inputs": inputs(definition.input.schema()),
        "takes_any": definition.input.names() is None,
        "steps": [
            {"row": row, "step": definition.step_at(row.step), **_times(by_step.get(row.step))}
            for row in rows
        ],
        "former_steps": [
            {"name": one.step, **_times(one)} for one in times if one.step not in known
        ],
        "sees_times": sees_times,
    }


def _times(found: reports.StepTimes | None) -> dict[str, Any]:
    if found is None:
        return {"times": None}
    return {
        "times": found,
        "p50": texts.lasted(timedelta(milliseconds=found.p50_ms)),
        "p95": texts.lasted(timedelta(milliseconds=found.p95_ms)),
    }


def inputs(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the properties of an Input's schema as rows: name, type, default, description."""
    required = schema.get("required", ())
    rows = []
    for name, part in schema.get("properties", {}).items():
        default: SafeString | str = readable(part["default"]) if "default" in part else ""
        rows.append(
            {
                "name": name,
                "type": type_of(part),
                "required": name in required,
                "default": default,
                "description": part.get("description", ""),
            }
        )
    return rows


def type_of(part: Mapping[str, Any]) -> str:
    """Return the type that a JSON Schema gives, in a few words: ``list of integer, or null``."""
    if "$ref" in part:
        return str(part["$ref"]).rpartition("/")[2]
    if "enum" in part:
        return ", ".join(str(value) for value in part["enum"])
    if "anyOf" in part:
        kinds = [type_of(one) for one in part["anyOf"]]
        return "decimal" if sorted(kinds) == ["number", "string"] else " | ".join(kinds)
    kind = str(part.get("format") or part.get("type") or "any")
    items = part.get("items")
    return f"{kind} of {type_of(items)}" if kind == "array" and isinstance(items, Mapping) else kind


def _listed(
    request: HttpRequest, definition: WorkflowDefinition, counted: Counted
) -> dict[str, Any]:
    return {
        "definition": definition,
        "summary": definition.description.partition("\n")[0],
        "url": WorkflowPage.url(workflow_id=definition.id),
        "counts": _cells(definition.id, counted),
        "may_start": may(request.user, "start", workflow_id=definition.id),
        "start_url": StartPage.url(workflow_id=definition.id),
    }


def _cells(workflow_id: str, counted: Counted) -> Sequence[dict[str, Any]]:
    """Return a count for each status, with the list that it counts."""
    return [
        {
            "status": status,
            "badge": texts.status_badge(status),
            "count": counted.get(status, reports.Count(0)),
            "url": _list_url(workflow_id, status=status.value),
        }
        for status in ExecutionStatus
    ]


def _list_url(workflow_id: str, **filters: str) -> str:
    return f"{reverse(f'admin:{EXECUTIONS}')}?{urlencode({'workflow': workflow_id, **filters})}"


def _recent(row: Any) -> dict[str, Any]:
    return {
        "row": row,
        "url": reverse(f"admin:{EXECUTION}", args=[row.pk]),
        "badge": texts.status_badge(row.status),
        "age": texts.age(row.created_at),
    }

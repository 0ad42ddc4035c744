"""What the page of a link, and the e-mail that carries it, tell about a decision."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django.apps import apps
from django.contrib.auth import get_permission_codename
from django.core.exceptions import ValidationError
from django.utils.formats import localize
from django.utils.timezone import is_aware, localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.execution import Execution
from django_workflows.core.steps import Step
from django_workflows.core.waits import Wait
from django_workflows.core.workflow import registry

#: Values that a page shows of the data, and characters of each: it is to be read before deciding.
MOST_ROWS, MOST_CHARACTERS = 100, 2_000

_PLACE = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One value of the data, with the keys that lead to it."""

    name: str
    text: str


def rows(value: Any) -> list[Row]:
    """Return the data as lines of a table; where there are too many, the last one says so."""
    found = list(islice(_rows(value, ()), MOST_ROWS + 1))
    if len(found) > MOST_ROWS:
        found[MOST_ROWS:] = [Row(name="…", text=_("There is more: log in to see all of it."))]
    return found


def _rows(value: Any, path: tuple[str, ...]) -> Iterator[Row]:
    inner: Iterator[tuple[Any, Any]] | None = None
    if isinstance(value, Mapping):
        inner = iter(value.items())
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        inner = iter(enumerate(value, start=1))
    if inner is not None and value:
        for name, below in inner:
            yield from _rows(below, (*path, str(name)))
    elif path or value is not None:
        yield Row(name=" / ".join(path), text=_text(value))


def _text(value: Any) -> str:
    if value is None or (not value and isinstance(value, (Mapping, Sequence))):
        return "-"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime) and is_aware(value):
        value = localtime(value)
    text = str(localize(value))
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def name_of(person: Any) -> str:
    """Return how a page names a user: by the full name, where there is one."""
    full = getattr(person, "get_full_name", str)()
    return str(full or person.get_username())


def subject_name(execution: Execution, person: Any) -> str:
    """Return what an execution is about: by its own name, where ``person`` may view that."""
    label, _colon, key = (execution.subject or "").partition(":")
    try:
        model = apps.get_model(label)
        id_ = model._meta.pk.to_python(key)
        model._meta.pk.run_validators(id_)  # as what does not fit is not asked for
    except (LookupError, ValueError, ValidationError):  # it is no model's, or not any more
        return execution.subject or ""
    if person.has_perm(f"{model._meta.app_label}.{get_permission_codename('view', model._meta)}"):
        found = model._default_manager.filter(pk=id_).first()  # noqa: SLF001  public
        if found is not None:
            return str(found)
    return f"{model._meta.verbose_name} {key}"


def workflow_name(execution: Execution) -> str:
    """Return what people call the workflow; its id, where it is not registered here."""
    definition = _definition(execution)
    return definition.name if definition else execution.workflow_id


def consequences(execution: Execution, wait: Wait, *, approved: bool) -> list[str]:
    """Say what will happen once this decision is taken, one sentence each."""
    missing = wait.required - 1 - sum(1 for answer in wait.answers if answer.approved)
    if approved and missing > 0:
        told = ngettext(
            "Your approval counts, and one more person has to approve before it goes on.",
            "Your approval counts, and %(more)d more people have to approve before it goes on.",
            missing,
        )
        return [told % {"more": missing}]
    sentences = [_goes_on(execution, wait, approved=approved)]
    if not approved and wait.required > 1:
        sentences.append(_("One rejection is enough: nobody else will be asked."))
    return sentences


def _goes_on(execution: Execution, wait: Wait, *, approved: bool) -> str:
    if approved:
        return _("The workflow goes on as approved.")
    target = getattr(_step(execution, wait), "on_reject", None)
    if target is None:
        return _("The workflow ends there as rejected.")
    return _("The workflow goes on at “%(step)s”.") % {"step": target}


def _step(execution: Execution, wait: Wait) -> Step | None:
    definition = _definition(execution)
    if definition is None:
        return None
    place = _PLACE.sub("", wait.step)
    return next((step for path, step, _graph in definition.graph.walk() if path == place), None)


def _definition(execution: Execution) -> WorkflowDefinition | None:
    known = execution.workflow_id in registry
    return registry[execution.workflow_id] if known else None

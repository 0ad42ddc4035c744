"""Failed executions that belong together: one cluster for each step and kind of error."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.db.models.functions import Coalesce, Left

from django_workflows.core.execution import ExecutionStatus
from django_workflows.models import ExecutionQuerySet

#: So many are looked at, the newest first.
NEWEST = 10_000

#: So much of an error is read, and so much of its first line tells it from others.
LONGEST_READ, LONGEST_TOLD = 500, 200

#: What differs between errors of one kind: the character that stands for it in what they have in
#: common, and what it looks like, to each database alike.
_VARIES = {
    "\x01": r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "\x02": r"0x[0-9a-fA-F]+",
    "\x03": r"[0-9]+",
}
_VARYING = re.compile("|".join(f"({pattern})" for pattern in _VARIES.values()))
_MARKS = tuple(_VARIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Executions that failed at one step with one error, whatever the numbers and ids in it."""

    workflow_id: str
    step: str
    error: str  # first line of the newest one's, class name first
    number: int  # of the NEWEST failed ones
    first_at: datetime
    last_at: datetime
    key: str  # names the cluster in a URL


def failures(executions: ExecutionQuerySet, limit: int = 50) -> list[Cluster]:
    """
    Return the clusters of failed executions, the largest first, at most ``limit``.

    One query, that reads the NEWEST failed executions; they are told apart here.
    """
    found = sorted(_clusters(executions), key=lambda one: (one.number, one.last_at), reverse=True)
    return found[:limit]


def of_cluster(executions: ExecutionQuerySet, key: str) -> ExecutionQuerySet:
    """
    Return the failed executions of the cluster that ``key`` names; none where there is none.

    These are all of them, where failures() counts those among the NEWEST. One query to find the
    cluster, as of failures(); the rows are then compared with a regular expression, those of the
    same workflow and step.
    """
    for cluster in _clusters(executions):
        if cluster.key == key:
            told = Q(error__regex=_pattern(_common(cluster.error)))
            return executions.filter(
                told if cluster.error else told | Q(error=None),
                status=ExecutionStatus.FAILED,
                workflow_id=cluster.workflow_id,
                current_step=cluster.step or None,
            )
    return executions.none()


def _clusters(executions: ExecutionQuerySet) -> list[Cluster]:
    rows = (
        executions.filter(status=ExecutionStatus.FAILED)
        .order_by("-created_at", "-id")
        .values_list(
            "workflow_id",
            "current_step",
            Left("error", LONGEST_READ),
            Coalesce("finished_at", "updated_at"),
        )[:NEWEST]
    )
    found: dict[tuple[str, str, str], list[tuple[str, datetime]]] = {}
    for workflow_id, step, error, at in rows:
        line = (error or "").partition("\n")[0]
        found.setdefault((workflow_id, step or "", _common(line)), []).append((line, at))
    return [_cluster(told, members) for told, members in found.items()]


def _cluster(told: tuple[str, str, str], members: list[tuple[str, datetime]]) -> Cluster:
    workflow_id, step, _ = told
    moments = [at for _, at in members]
    return Cluster(
        workflow_id=workflow_id,
        step=step,
        error=members[0][0],
        number=len(members),
        first_at=min(moments),
        last_at=max(moments),
        key=hashlib.sha256("\0".join(told).encode()).hexdigest()[:16],
    )


def _common(line: str) -> str:
    """Return what an error has in common with others of its cluster; a newline if that is all."""
    common = _VARYING.sub(lambda found: _MARKS[(found.lastindex or 1) - 1], line)
    is_whole = len(line) < LONGEST_READ and len(common) <= LONGEST_TOLD
    return f"{common}\n" if is_whole else common[:LONGEST_TOLD]


def _pattern(common: str) -> str:
    """Return a regular expression, as each database reads it, for errors that have it in common."""
    return "^" + "".join(map(_of_character, common))


def _of_character(character: str) -> str:
    if character in _VARIES:
        return f"({_VARIES[character]}|{character})"  # for what an error has it itself
    if character == "\n":
        return "(\n|$)"
    return character if character.isalnum() or not character.isascii() else f"\\{character}"

"""Who is waited for: a user's inbox, and what has waited longest."""

from __future__ import annotations

from collections.abc import Collection
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Func, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Substr
from django.db.models.lookups import GreaterThan, IsNull

from django_workflows.core import codec
from django_workflows.core.execution import EntryAction
from django_workflows.core.waits import WaitKind, WaitStatus
from django_workflows.models import (
    ExecutionQuerySet,
    Mentions,
    WaitQuerySet,
    WorkflowEntry,
    WorkflowExecution,
    WorkflowWait,
)
from django_workflows.permissions import label, may, visible
from django_workflows.permissions.policy import approver_names

#: Kinds that somebody has to do something about: timers, retries and children end by themselves.
_NEEDS_SOMEBODY = (WaitKind.APPROVAL, WaitKind.HALT, WaitKind.EVENT)

#: So many names are each looked for; of more, first which of them approvals ask for at all, unless
#: they ask for more combinations than this.
_FEW_NAMES, _MOST_LISTS = 8, 1_000


class _Written(Func):
    """A column's text as it is: two that a database takes for equal are two."""

    arity = 1
    template = "%(expressions)s"
    output_field = TextField()

    def as_mysql(self, compiler: Any, connection: Any, **options: Any) -> Any:
        return self.as_sql(compiler, connection, template="BINARY %(expressions)s", **options)


def inbox(user: Any) -> WaitQuerySet:
    """
    Return the open approvals that ``user`` may decide, the oldest first, with their executions.

    They ask for the user, by name, group or permission; or for nobody, where the user has the right
    to decide and may view the execution. Those that somebody else must decide, since the user
    requested them or has approved them already, are left out. Who is not active has none.

    A call takes the queries for the user's groups and permissions; and where these are many, one
    that reads each open approval, to tell which of them are asked for. The rows are read in the
    order of an index, until there are as many as are wanted.
    """
    waits = WorkflowWait.objects.select_related("execution").order_by("opened_at", "id")
    if not (user.is_authenticated and user.is_active):
        return waits.none()
    found = _asking(waits, user)
    if may(user, "decide"):
        found |= _asking_nobody(waits, user)
    name = label(user) or ""
    return found.exclude(_answered_by(name)).exclude(_requested_by(name))


def is_asked(user: Any) -> bool:
    """Say whether an open approval asks for ``user``, whoever may decide it; see inbox()."""
    if not (user.is_authenticated and user.is_active):
        return False
    return _asking(WorkflowWait.objects.order_by(), user).exists()


def _asking(waits: WaitQuerySet, user: Any) -> WaitQuerySet:
    if user.is_superuser:  # and so has every permission there is
        groups = user.groups.values_list("name", flat=True)
        names = [f"user:{user.get_username()}", *(f"group:{name}" for name in groups)]
        by_permission = GreaterThan(_place_of('"perm:', "approvers"), 0)
        return waits.asking(names) | _open(waits).filter(by_permission)
    names = list(approver_names(user))
    return waits.asking(names if len(names) <= _FEW_NAMES else _asked_for(waits, names))


def _asked_for(waits: WaitQuerySet, names: Collection[str]) -> Collection[str]:
    """Return those of ``names`` that open approvals ask for; all, where approvals differ much."""
    lists = _open(waits).order_by().values_list(_Written("approvers"), flat=True).distinct()
    found = [codec.loads(text) for text in lists[: _MOST_LISTS + 1]]
    if len(found) > _MOST_LISTS:
        return names
    return set(names).intersection(name for approvers in found for name in approvers)


def _open(waits: WaitQuerySet) -> WaitQuerySet:
    return waits.filter(status=WaitStatus.OPEN, kind=WaitKind.APPROVAL)


def _asking_nobody(waits: WaitQuerySet, user: Any) -> WaitQuerySet:
    nobody = _open(waits).filter(approvers=())
    if condition := visible(user):
        viewed = WorkflowExecution.objects.filter(condition).order_by()
        nobody = nobody.filter(execution__in=viewed.values("pk"))
    return nobody


def _answered_by(name: str) -> Q:
    """
    Return the condition for open approvals that ``name`` has approved; see refuse_misfit().

    Found as the field writes an Answer. Text in a response has its quotes escaped, and a mapping
    with the name in it is another text, unless somebody makes one look like an Answer: that keeps
    the approval out of the inbox, and nobody from deciding it.
    """
    written = f'"approved":true,"by":{codec.dumps(name)},"at":'
    # First, for where one approval is enough, none that has it is open: most texts are not read.
    takes_more = Q(required__gt=1)
    return takes_more & Q(GreaterThan(_place_of(written, "answers"), 0))


def _requested_by(name: str) -> Q:
    """Return the condition for approvals that ``name`` may not decide; see core.requesters()."""
    executions = WorkflowExecution.objects.filter(pk=OuterRef("execution"), started_by=name)
    history = WorkflowEntry.objects.filter(execution=OuterRef("execution"))
    gave_input = Q(GreaterThan(_place_of('"input_before":'), 0), action=EntryAction.RETRIED)
    # The names come last in what such an entry tells; before them stands any data.
    names = Substr("output", _place_of('"requesters":['))
    asked_before = Q(GreaterThan(_place_of(codec.dumps(name), names), 0))
    is_named = asked_before & Q(action=EntryAction.FORKED)
    entries = history.filter(gave_input & Q(by=name) | is_named)
    return Q(exclude_requester=True) & (_some(executions) | _some(entries))


def _some(rows: QuerySet[Any]) -> Q:
    """Say whether there are any, as Exists() would; but that, PostgreSQL may read all to know."""
    return Q(IsNull(Subquery(rows.order_by().values("pk")[:1]), rhs=False))


def _place_of(text: str, inside: Any = "output") -> Mentions:
    return Mentions(inside, Value(text, TextField()))


def oldest_wait(executions: ExecutionQuerySet) -> WorkflowWait | None:
    """
    Return the open wait that has been there longest, with its execution; None where there is none.

    Of those that somebody has to do something about: approvals, halts, and waits for an event. One
    query, that reads the first entries of an index.
    """
    waits = WorkflowWait.objects.using(executions.db).filter(
        status=WaitStatus.OPEN, execution__in=executions.order_by().values("pk")
    )
    # One by one: the index has the kind before the time.
    oldest = [
        Q(pk=Subquery(waits.filter(kind=kind).order_by("opened_at", "id").values("pk")[:1]))
        for kind in _NEEDS_SOMEBODY
    ]
    found = WorkflowWait.objects.using(executions.db).filter(reduce(or_, oldest))
    return found.select_related("execution").order_by("opened_at", "id").first()

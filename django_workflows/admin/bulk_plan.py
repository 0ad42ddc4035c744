"""What a bulk action is about: a frozen list of executions, or of waits, that nobody can alter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.core import signing
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_workflows import reports
from django_workflows.admin.reached import reached
from django_workflows.admin.texts import status_badge
from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus, revision_of
from django_workflows.core.workflow import registry
from django_workflows.exceptions import NotAllowed
from django_workflows.models import ExecutionQuerySet, WorkflowExecution, WorkflowWait
from django_workflows.permissions import may

#: So many are planned at once; more are left for the next time.
MOST_PLANNED = 1_000

#: So many of them are shown.
SAMPLE = 10

#: How long a preview may be acted on.
MAX_AGE = timedelta(days=1)

_SALT = "django_workflows.admin.bulk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """What can be done to many at once."""

    name: str
    title: Any
    doing: Any  # on the button, with a count
    action: str  # the permission it takes
    statuses: frozenset[ExecutionStatus]  # of what it is offered for; the engine decides
    reason: Any  # what to ask for
    must_say: bool = False  # the reason may not be left out

    @property
    def decides(self) -> bool:
        """Say whether it answers waits."""
        return self.action == "decide"


VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb(
            name="retry",
            title=gettext_lazy("Retry executions"),
            doing=gettext_lazy("Retry %(number)s"),
            action="retry",
            statuses=frozenset({ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}),
            reason=gettext_lazy("Reason, for the history"),
        ),
        Verb(
            name="cancel",
            title=gettext_lazy("Cancel executions"),
            doing=gettext_lazy("Cancel %(number)s"),
            action="cancel",
            statuses=frozenset(status for status in ExecutionStatus if not status.is_final),
            reason=gettext_lazy("Reason, for the history"),
            must_say=True,
        ),
        Verb(
            name="approve",
            title=gettext_lazy("Approve"),
            doing=gettext_lazy("Approve %(number)s"),
            action="decide",
            statuses=frozenset({ExecutionStatus.HALTED}),
            reason=gettext_lazy("Comment"),
        ),
        Verb(
            name="reject",
            title=gettext_lazy("Reject"),
            doing=gettext_lazy("Reject %(number)s"),
            action="decide",
            statuses=frozenset({ExecutionStatus.HALTED}),
            reason=gettext_lazy("Reason"),
            must_say=True,
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One execution, or one wait, as it was when it was shown."""

    execution_id: str
    status: str
    fence: int  # grows whenever it is driven
    wait_id: str = ""

    @property
    def revision(self) -> str:
        """Return Execution.revision as it was."""
        return revision_of(self.fence, self.status)

    def changed(self, row: WorkflowExecution | None, waits: Mapping[str, WorkflowWait]) -> str:
        """Say in words how it is another than it was; nothing where it is the same."""
        if row is None:
            return _("It is not there any more.")
        if self.wait_id:
            wait = waits.get(self.wait_id)
            return "" if wait else _("Its approval is open no more: it is %s.") % row.status
        if row.status != self.status:
            words = {"before": self.status, "now": row.status}
            return _("It was %(before)s, and is %(now)s.") % words
        return "" if row.fence == self.fence else _("It has been driven since.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A frozen list of what ``verb`` is to be applied to, by one user."""

    verb: Verb
    user: str
    items: tuple[Item, ...]
    made_at: datetime
    done: int = 0  # of them, in requests before this one

    def token(self) -> str:
        """Return it as signed text, which only its user can act on."""
        items = [[item.execution_id, item.status, item.fence, item.wait_id] for item in self.items]
        body = [self.verb.name, self.user, self.made_at.timestamp(), self.done, items]
        return signing.dumps(body, salt=_SALT, compress=True)

    @classmethod
    def read(cls, token: str, user: Any) -> Plan:
        """Return what token() wrote. Raise signing.BadSignature, NotAllowed."""
        name, owner, made_at, done, items = signing.loads(token, salt=_SALT, max_age=MAX_AGE)
        if owner != str(user.pk):
            raise NotAllowed(_("This preview was made for somebody else; make one of your own."))
        return cls(
            verb=VERBS[name],
            user=owner,
            made_at=datetime.fromtimestamp(made_at, tz=clock.now().tzinfo),
            done=done,
            items=tuple(
                Item(execution_id=id_, status=status, fence=fence, wait_id=wait)
                for id_, status, fence, wait in items
            ),
        )

    def split(self, most: int) -> tuple[Sequence[Item], Plan]:
        """Return the first items, and the plan of the others."""
        first = self.items[:most]
        return first, replace(self, items=self.items[most:], done=self.done + len(first))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """A plan, and what was chosen but is not in it."""

    plan: Plan
    left_out: Sequence[tuple[str, int]]  # why, and how many
    is_more: bool = False  # there are more than MOST_PLANNED


def draft(verb: Verb, chosen: ExecutionQuerySet, user: Any) -> Drafted:
    """Return the plan for ``verb`` and the executions ``chosen``, which ``user`` may view."""
    columns = ("id", "workflow_id", "status", "fence", "subject", "started_by")
    rows = list(chosen.only(*columns).order_by("created_at", "id")[: MOST_PLANNED + 1])
    is_more = len(rows) > MOST_PLANNED
    rows = rows[:MOST_PLANNED]
    why_not: Counter[str] = Counter()
    items: list[Item] = []
    decidable = _decidable(rows, user) if verb.decides else {}
    for row in rows:
        refusal = _refusal(verb, row, user, decidable)
        if refusal:
            why_not[refusal] += 1
            continue
        waits = decidable.get(row.id, [""]) if verb.decides else [""]
        items += [
            Item(execution_id=row.id, status=row.status, fence=row.fence, wait_id=wait)
            for wait in waits
        ]
    plan = Plan(verb=verb, user=str(user.pk), items=tuple(items), made_at=clock.now())
    return Drafted(plan=plan, left_out=why_not.most_common(), is_more=is_more)


def _refusal(
    verb: Verb, row: WorkflowExecution, user: Any, decidable: Mapping[str, Sequence[str]]
) -> str:
    """Return why ``row`` is left out, or nothing."""
    if row.status not in verb.statuses:
        return str(_("It is %s.") % row.status)
    if verb.decides:
        return "" if row.id in decidable else _("No approval of it waits for you.")
    if not may(user, verb.action, row):  # type: ignore[arg-type]  # a row is as good as a record
        return str(_("You may not %s it.") % verb.action)
    return ""


def _decidable(rows: Sequence[WorkflowExecution], user: Any) -> dict[str, list[str]]:
    """Return the ids of the approvals that wait for ``user``, by execution."""
    found: dict[str, list[str]] = {}
    asked = reports.inbox(user).filter(execution__in=[row.id for row in rows])
    for wait, execution in asked.values_list("id", "execution_id"):
        found.setdefault(str(execution), []).append(str(wait))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One item, with its execution and wait as they are now."""

    item: Item
    execution: WorkflowExecution | None
    wait: WorkflowWait | None
    changed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many items are alike."""

    workflow_id: str
    badge: SafeString
    step: str  # of the wait
    number: int


class Preview:
    """What a plan is about, told by numbers, a breakdown and a sample; read now."""

    def __init__(self, plan: Plan, user: Any) -> None:
        self.plan = plan
        self.shown = list(current(plan.items, user))
        self.number = len(self.shown)
        self.sample = self.shown[:SAMPLE]
        self.more = self.number - len(self.sample)
        self.changed = sum(1 for shown in self.shown if shown.changed)
        self.breakdown = breakdown(self.shown)
        self.steps = _steps(self.shown) if plan.verb.name == "retry" else []


def _steps(shown: Sequence[Shown]) -> list[str]:
    """Return the steps that executions came to: none, unless they are all of one workflow."""
    rows = [one.execution for one in shown if one.execution is not None]
    ids = {row.workflow_id for row in rows}
    known = [registry[id_] for id_ in ids if id_ in registry]
    if not len(known) == len(ids) == 1:
        return []
    return reached(known[0], [row.id for row in rows], [row.current_step for row in rows])


def breakdown(shown: Sequence[Shown]) -> list[Share]:
    """Return how many there are of each workflow, status and step that waits, most first."""
    counted = Counter(
        (one.execution.workflow_id, one.execution.status, one.wait.step if one.wait else "")
        for one in shown
        if one.execution is not None
    )
    return [
        Share(workflow_id=id_, badge=status_badge(status), step=step, number=number)
        for (id_, status, step), number in counted.most_common()
    ]


def current(items: Sequence[Item], user: Any) -> Iterator[Shown]:
    """Yield each item with what it is by now, in two queries."""
    visible = WorkflowExecution.objects.visible_to(user)
    columns = ("id", "workflow_id", "status", "fence", "subject", "current_step", "error")
    ids = list(dict.fromkeys(item.execution_id for item in items))
    rows = visible.only(*columns, "created_at", "started_by").in_bulk(ids)
    named = [item.wait_id for item in items if item.wait_id]
    waits = reports.inbox(user).in_bulk(named) if named else {}
    for item in items:
        row = rows.get(item.execution_id)
        changed = item.changed(row, waits)
        yield Shown(item=item, execution=row, wait=waits.get(item.wait_id), changed=changed)

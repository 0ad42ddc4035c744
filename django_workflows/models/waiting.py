"""What executions wait for, and what came for them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any

from django.db import models
from django.db.models import F, Func, Q, TextField, Value
from django.db.models.lookups import GreaterThan, In
from django.utils.translation import gettext_lazy as _

from django_workflows.core import clock, codec
from django_workflows.core.ids import new_id
from django_workflows.core.waits import InboxEvent, Wait, WaitKind, WaitStatus
from django_workflows.fields import (
    AnswersField,
    EnumField,
    FreeTextField,
    IdField,
    KeyField,
    TypedJSONField,
)
from django_workflows.models.executions import WorkflowExecution
from django_workflows.models.mirrors import Mirror


class Mentions(Func):
    """Where in one text another stands, 0 if nowhere: character by character, on any database."""

    arity = 2
    function = "STRPOS"
    output_field = models.IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **options: Any) -> Any:
        return self.as_sql(compiler, connection, function="INSTR", **options)

    def as_mysql(self, compiler: Any, connection: Any, **options: Any) -> Any:
        template = "INSTR(BINARY %(expressions)s)"
        return self.as_sql(compiler, connection, template=template, **options)


class OneOf(In):
    """
    Whether a value is one of those of a query, as ``in`` says it.

    Beside another condition, joined by OR, PostgreSQL finds rows by an index for an array alone.
    """

    def get_rhs_op(self, connection: Any, rhs: str) -> str:
        if connection.vendor == "postgresql":
            return f"= ANY(ARRAY{rhs})"
        return super().get_rhs_op(connection, rhs)


class WaitQuerySet(models.QuerySet["WorkflowWait"]):
    """What ``WorkflowWait.objects`` offers."""

    def asking(self, names: Iterable[str]) -> WaitQuerySet:
        """Return the open approvals that ask one of ``names``, such as "user:ann"."""
        # Kept as JSON, where a quote inside a name is escaped: with its own quotes, a name is
        # found nowhere but where it stands as a whole.
        known = [
            Q(GreaterThan(Mentions("approvers", Value(codec.dumps(name), TextField())), 0))
            for name in names
        ]
        found = reduce(or_, known, Q(pk__in=[]))
        return self.filter(found, status=WaitStatus.OPEN, kind=WaitKind.APPROVAL)

    def executions(self) -> Q:
        """
        Return the condition for the executions that have one of these waits.

        The waits are read once. As Exists() says it, they may be read again for each execution.
        """
        return Q(OneOf(F("pk"), self.order_by().values("execution").query))


class WorkflowWait(Mirror):
    """See core.waits.Wait."""

    core = Wait

    id = IdField(_("id"), primary_key=True, default=new_id, editable=False)
    execution = models.ForeignKey(
        WorkflowExecution, models.CASCADE, verbose_name=_("execution"), related_name="waits"
    )
    step = FreeTextField(_("step"))
    kind = EnumField(_("kind"), enum=WaitKind, default=WaitKind.HALT)
    status = EnumField(_("status"), enum=WaitStatus, default=WaitStatus.OPEN)
    prompt = FreeTextField(_("prompt"), null=True)
    data = TypedJSONField(_("data"), default=dict)
    resume_step = FreeTextField(_("goes on at"), null=True)
    approvers = TypedJSONField(_("approvers"), default=tuple)
    required = models.IntegerField(_("approvals required"), default=1)
    exclude_requester = models.BooleanField(_("not by who asked"), default=False)
    wake_at = models.DateTimeField(_("wakes"), null=True)
    remind_at = models.DateTimeField(_("reminds"), null=True)
    key = KeyField(_("key"), max_length=401, null=True)  # an event's name and key, joined
    opened_at = models.DateTimeField(_("opened"), default=clock.now)
    settled_at = models.DateTimeField(_("settled"), null=True)
    answers = AnswersField(_("answers"), default=tuple)

    objects = WaitQuerySet.as_manager()

    class Meta:
        verbose_name = _("wait")
        verbose_name_plural = _("waits")
        ordering = ["opened_at", "id"]
        indexes = [
            models.Index(fields=["status", "opened_at", "id"], name="workflows_wa_oldest"),
            models.Index(fields=["status", "kind", "opened_at", "id"], name="workflows_wa_kind"),
            models.Index(fields=["status", "key", "opened_at", "id"], name="workflows_wa_key"),
            models.Index(fields=["status", "wake_at"], name="workflows_wa_wake"),
            models.Index(fields=["status", "remind_at"], name="workflows_wa_remind"),
        ]

    def __str__(self) -> str:
        return f"{self.step} {self.kind} {self.status}"

    def to_core(self) -> Wait:
        """Return the frozen record."""
        return Wait(**self.values())


class WorkflowEvent(Mirror):
    """See core.waits.InboxEvent."""

    core = InboxEvent

    id = IdField(_("id"), primary_key=True, default=new_id, editable=False)
    name = KeyField(_("name"), max_length=200)
    key = KeyField(_("key"), max_length=200, blank=True)
    data = TypedJSONField(_("data"), null=True)
    by = FreeTextField(_("by"), null=True)
    sent_at = models.DateTimeField(_("sent"), default=clock.now)
    # No foreign key: an event stays taken when its execution is deleted.
    # Unique: of two callers that give events to one wait, one gets through.
    taken_by = IdField(_("taken by"), null=True, unique=True)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["sent_at", "id"]
        indexes = [
            models.Index(
                fields=["name", "key", "taken_by", "sent_at"], name="workflows_ev_untaken"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}:{self.key}"

    def to_core(self) -> InboxEvent:
        """Return the frozen record."""
        return InboxEvent(**self.values())

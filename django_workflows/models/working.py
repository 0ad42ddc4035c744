"""What is still to be done, and who is at work."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_workflows.core import clock
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.ids import new_id
from django_workflows.core.presence import Presence
from django_workflows.fields import EnumField, FreeTextField, IdField, KeyField, TypedJSONField
from django_workflows.models.mirrors import Mirror


class WorkflowChore(Mirror):
    """See core.chores.Chore."""

    core = Chore

    id = IdField(_("id"), primary_key=True, default=new_id, editable=False)
    kind = EnumField(_("kind"), enum=ChoreKind)
    # No foreign key: a chore outlives its execution, and finds out when it is done.
    execution_id = IdField(_("execution"), null=True)
    target = FreeTextField(_("target"), blank=True)
    reason = FreeTextField(_("reason"), blank=True)
    by = FreeTextField(_("by"), null=True)
    due_at = models.DateTimeField(_("due"), default=clock.now)

    class Meta:
        verbose_name = _("chore")
        verbose_name_plural = _("chores")
        ordering = ["due_at", "id"]
        indexes = [
            models.Index(fields=["due_at", "id"], name="workflows_ch_due"),
            models.Index(fields=["execution_id"], name="workflows_ch_execution"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.execution_id or self.target}"

    def to_core(self) -> Chore:
        """Return the frozen record."""
        return Chore(**self.values())


class WorkflowPresence(Mirror):
    """See core.presence.Presence."""

    core = Presence

    id = KeyField(_("id"), max_length=200, primary_key=True)
    host = FreeTextField(_("host"))
    pid = models.BigIntegerField(_("process"))
    drives = models.BooleanField(_("drives"), default=False)
    queues = TypedJSONField(_("queues"), default=tuple)
    threads = models.IntegerField(_("threads"), default=1)
    adapter = FreeTextField(_("adapter"), blank=True)
    started_at = models.DateTimeField(_("started"), default=clock.now)
    seen_at = models.DateTimeField(_("seen"), default=clock.now)
    swept_at = models.DateTimeField(_("swept"), null=True)
    skew = models.FloatField(_("seconds ahead"), default=0.0)

    class Meta:
        verbose_name = _("process at work")
        verbose_name_plural = _("processes at work")
        ordering = ["started_at", "id"]

    def __str__(self) -> str:
        return str(self.id)

    def to_core(self) -> Presence:
        """Return the frozen record."""
        return Presence(**self.values())

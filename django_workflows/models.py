"""
The tables of OrmStore: the core's frozen types, field for field.

Rows are written by the store alone. Whoever reads them (the admin does) gets values as the core
holds them, ids as text included, and the frozen record itself by ``to_core()``.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_workflows.core import clock
from django_workflows.core.execution import Entry, EntryAction, Execution, ExecutionStatus
from django_workflows.core.frames import Cursor
from django_workflows.core.ids import new_id
from django_workflows.core.records import Record
from django_workflows.core.waits import InboxEvent, Wait, WaitKind, WaitStatus
from django_workflows.fields import (
    AnswersField,
    CompensationsField,
    CursorField,
    EnumField,
    FreeTextField,
    IdField,
    KeyField,
    TypedJSONField,
)

VERBS = ("start", "resume", "decide", "retry", "cancel", "skip", "fork")


def subject_key(instance: models.Model) -> str:
    """Return what ``Execution.subject`` holds for a model instance: ``app.model:pk``."""
    # A proxy's instances are those of the model that has the table.
    model = instance._meta.concrete_model or type(instance)
    return f"{model._meta.label_lower}:{instance.pk}"


class Mirror(models.Model):
    """A table with a column for each field of the frozen type ``core``."""

    core: ClassVar[type[Record]]

    class Meta:
        abstract = True

    @classmethod
    @cache
    def mirrored(cls) -> dict[str, models.Field[Any, Any]]:
        """Return the fields by the core's names, where ``execution`` is ``execution_id``."""
        names = {field.name for field in dataclasses.fields(cls.core)}
        named = {
            field.name if field.name in names else field.attname: field
            for field in cls._meta.concrete_fields
        }
        return {name: field for name, field in named.items() if name in names}

    @classmethod
    def columns_of(cls, record: Record) -> dict[str, Any]:
        """Return the keyword arguments that make a row of ``record``; to_core() undoes it."""
        fields = cls.mirrored().items()
        return {field.attname: getattr(record, name) for name, field in fields}

    def values(self) -> dict[str, Any]:
        """Return the row's values by the core's names."""
        return {name: getattr(self, field.attname) for name, field in self.mirrored().items()}


class ExecutionQuerySet(models.QuerySet["WorkflowExecution"]):
    """What ``WorkflowExecution.objects`` offers."""

    def for_subject(self, instance: models.Model) -> ExecutionQuerySet:
        """Return the executions that are about ``instance``."""
        return self.filter(subject=subject_key(instance))


class WorkflowExecution(Mirror):
    """See core.execution.Execution."""

    core = Execution

    id = IdField(_("id"), primary_key=True, default=new_id, editable=False)
    workflow_id = KeyField(_("workflow"), max_length=200)
    workflow_version = KeyField(_("version"), max_length=100, blank=True)
    status = EnumField(_("status"), enum=ExecutionStatus, default=ExecutionStatus.PENDING)
    input = TypedJSONField(_("input"), default=dict)
    ctx = TypedJSONField(_("variables"), default=dict)
    current_step = FreeTextField(_("current step"), null=True)
    frames = CursorField(_("position"), default=Cursor)
    result = TypedJSONField(_("result"), null=True)
    recover_to = FreeTextField(_("goes on at"), null=True)
    halt_data = TypedJSONField(_("halt data"), null=True)
    error = FreeTextField(_("error"), null=True)
    created_at = models.DateTimeField(_("created"), default=clock.now)
    updated_at = models.DateTimeField(_("updated"), default=clock.now)
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    deadline_at = models.DateTimeField(_("deadline"), null=True)
    compensations = CompensationsField(_("compensations"), default=tuple)
    lease_owner = FreeTextField(_("driven by"), null=True)
    lease_expires_at = models.DateTimeField(_("lease ends"), null=True)
    fence = models.BigIntegerField(_("fence"), default=0)
    claims = models.IntegerField(_("claims"), default=0)
    attempt = models.IntegerField(_("attempt"), default=1)
    parent = models.ForeignKey(
        "self",
        models.CASCADE,
        verbose_name=_("parent"),
        null=True,
        related_name="children",
        db_index=False,  # workflows_ex_parent begins with it
    )
    idempotency_key = KeyField(_("idempotency key"), max_length=200, null=True)
    subject = KeyField(_("subject"), max_length=255, null=True)
    started_by = FreeTextField(_("started by"), null=True)
    queue = FreeTextField(_("queue"), null=True)
    priority = models.IntegerField(_("priority"), default=0)

    objects = ExecutionQuerySet.as_manager()

    class Meta:
        verbose_name = _("execution")
        verbose_name_plural = _("executions")
        ordering = ["-created_at", "-id"]
        permissions = [(f"{verb}_workflowexecution", f"Can {verb} executions") for verb in VERBS]
        constraints = [
            # NULL equals nothing, so any number of executions may have no key.
            models.UniqueConstraint(
                fields=["workflow_id", "idempotency_key"], name="workflows_ex_idempotent"
            ),
        ]
        # No index has a column that a checkpoint writes (updated_at, the lease, the position):
        # PostgreSQL then touches none of them (a HOT update). The few that are running are found
        # by status, and their leases read from the rows.
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="workflows_ex_newest"),
            models.Index(
                fields=["workflow_id", "-created_at", "-id"], name="workflows_ex_workflow"
            ),
            models.Index(fields=["status", "-created_at", "-id"], name="workflows_ex_status"),
            models.Index(fields=["parent", "-created_at", "-id"], name="workflows_ex_parent"),
            models.Index(fields=["subject", "-created_at", "-id"], name="workflows_ex_subject"),
            models.Index(fields=["status", "-priority", "created_at"], name="workflows_ex_pending"),
            models.Index(fields=["status", "deadline_at"], name="workflows_ex_deadline"),
        ]

    def __str__(self) -> str:
        return f"{self.workflow_id} {self.id}"

    def to_core(self) -> Execution:
        """Return the frozen record."""
        return Execution(**self.values())


class WorkflowEntry(Mirror):
    """See core.execution.Entry. ``id`` keeps the order in which entries were written."""

    core = Entry

    id = models.BigAutoField(_("id"), primary_key=True)
    execution = models.ForeignKey(
        WorkflowExecution,
        models.CASCADE,
        verbose_name=_("execution"),
        related_name="entries",
        db_index=False,  # workflows_en_history begins with it
    )
    step_id = FreeTextField(_("step"))
    step_type = FreeTextField(_("kind of step"), blank=True)
    action = EnumField(_("action"), enum=EntryAction)
    attempt = models.IntegerField(_("attempt"), default=1)
    duration_ms = models.BigIntegerField(_("milliseconds"), null=True)
    input = TypedJSONField(_("input"), null=True)
    output = TypedJSONField(_("output"), null=True)
    error = FreeTextField(_("error"), null=True)
    traceback = FreeTextField(_("traceback"), null=True)
    by = FreeTextField(_("by"), null=True)
    timestamp = models.DateTimeField(_("time"), default=clock.now)

    class Meta:
        verbose_name = _("entry")
        verbose_name_plural = _("entries")
        ordering = ["id"]
        indexes = [models.Index(fields=["execution", "id"], name="workflows_en_history")]

    def __str__(self) -> str:
        return f"{self.step_id} {self.action}"

    def to_core(self) -> Entry:
        """Return the frozen record."""
        return Entry(**self.values())


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

    class Meta:
        verbose_name = _("wait")
        verbose_name_plural = _("waits")
        ordering = ["opened_at", "id"]
        indexes = [
            models.Index(fields=["status", "opened_at", "id"], name="workflows_wa_oldest"),
            models.Index(fields=["status", "kind", "opened_at", "id"], name="workflows_wa_kind"),
            models.Index(fields=["status", "key", "opened_at", "id"], name="workflows_wa_key"),
            models.Index(fields=["status", "wake_at"], name="workflows_wa_wake"),
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
    # Unique: of two callers that reserve for one wait, one gets through.
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


class WorkflowVersion(models.Model):
    """The graph of a version, so that an old execution is drawn as it ran."""

    id = models.BigAutoField(_("id"), primary_key=True)
    workflow_id = KeyField(_("workflow"), max_length=200)
    version = KeyField(_("version"), max_length=100, blank=True)
    graph = TypedJSONField(_("graph"))

    class Meta:
        verbose_name = _("version")
        verbose_name_plural = _("versions")
        ordering = ["workflow_id", "version"]
        constraints = [
            models.UniqueConstraint(fields=["workflow_id", "version"], name="workflows_ve_once"),
        ]

    def __str__(self) -> str:
        return f"{self.workflow_id} {self.version}"

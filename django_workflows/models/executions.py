"""Executions, their history, and the graphs that they ran by."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from django_workflows.core import clock
from django_workflows.core.control import VERBS
from django_workflows.core.execution import Entry, EntryAction, Execution, ExecutionStatus
from django_workflows.core.frames import Cursor
from django_workflows.core.ids import new_id
from django_workflows.fields import (
    CompensationsField,
    CursorField,
    EnumField,
    FreeTextField,
    IdField,
    KeyField,
    PartialIndex,
    PathField,
    TypedJSONField,
)
from django_workflows.models.mirrors import Mirror

#: By name: the permissions stand above the tables, and ask them.
_VISIBLE = "django_workflows.permissions.visible"


def subject_key(instance: models.Model) -> str:
    """Return what ``Execution.subject`` holds for a model instance: ``app.model:pk``."""
    # A proxy's instances are those of the model that has the table.
    model = instance._meta.concrete_model or type(instance)
    return f"{model._meta.label_lower}:{instance.pk}"


class ExecutionQuerySet(models.QuerySet["WorkflowExecution"]):
    """What ``WorkflowExecution.objects`` offers."""

    def for_subject(self, instance: models.Model) -> ExecutionQuerySet:
        """Return the executions that are about ``instance``."""
        return self.filter(subject=subject_key(instance))

    def visible_to(self, user: Any) -> ExecutionQuerySet:
        """Return the executions that ``user`` may view, as permissions.may() says of each."""
        return self.filter(import_string(_VISIBLE)(user))


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
    parent_step = PathField(_("parent's step"), null=True)
    item = models.IntegerField(_("item"), null=True)
    idempotency_key = KeyField(_("idempotency key"), max_length=200, null=True)
    subject = KeyField(_("subject"), max_length=255, null=True)
    # As long as a username may be, and then some; text without an end has no index.
    started_by = KeyField(_("started by"), max_length=255, null=True)
    queue = KeyField(_("queue"), max_length=200, null=True)
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
        # by status, and their leases read from the rows. workflows_ex_status, read backwards,
        # pages over what is pending. workflows_ex_children tells held children, which were never
        # claimed, from those under way by their fence. workflows_ex_ended is what a purge reads,
        # and, with the status, what reports tell of each hour: it has nothing of what is under way,
        # and so costs one entry at the end. workflows_ex_counts has few values, which PostgreSQL
        # keeps once each: a million executions take 7 MB. workflows_ex_starter is for those who may
        # view what they have started, and nothing else.
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="workflows_ex_newest"),
            models.Index(
                fields=["workflow_id", "-created_at", "-id"], name="workflows_ex_workflow"
            ),
            models.Index(fields=["status", "-created_at", "-id"], name="workflows_ex_status"),
            models.Index(fields=["parent", "-created_at", "-id"], name="workflows_ex_parent"),
            models.Index(fields=["subject", "-created_at", "-id"], name="workflows_ex_subject"),
            models.Index(fields=["started_by", "-created_at", "-id"], name="workflows_ex_starter"),
            models.Index(fields=["status", "-priority", "created_at"], name="workflows_ex_pending"),
            models.Index(
                fields=["status", "queue", "-priority", "created_at"], name="workflows_ex_queue"
            ),
            models.Index(
                fields=["parent", "status", "fence", "item"], name="workflows_ex_children"
            ),
            models.Index(fields=["status", "deadline_at"], name="workflows_ex_deadline"),
            models.Index(fields=["workflow_id", "status"], name="workflows_ex_counts"),
            PartialIndex(
                fields=["finished_at", "status"],
                only=models.Q(finished_at__isnull=False, parent__isnull=True),
                name="workflows_ex_ended",
            ),
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
    sets = TypedJSONField(_("variables"), null=True)
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

"""The admin: executions, and the pages around them. Imported by admin.autodiscover()."""

from __future__ import annotations

from django.contrib import admin

# Each adds its pages to those that ExecutionAdmin.get_urls() asks for.
from django_workflows.admin import (  # noqa: F401
    actions_pages,
    bulk,
    dashboard,
    events,
    failures,
    inbox,
    page,
    starting,
    workflows,
)
from django_workflows.admin.executions import ExecutionAdmin
from django_workflows.models import WorkflowExecution

__all__ = ["ExecutionAdmin"]

admin.site.register(WorkflowExecution, ExecutionAdmin)

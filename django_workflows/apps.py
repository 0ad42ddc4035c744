"""The Django app: finds each app's workflows.py, and adds the system checks."""

from __future__ import annotations

from contextlib import suppress

from django.apps import AppConfig
from django.core import checks as django_checks
from django.utils.module_loading import autodiscover_modules, import_string
from django.utils.translation import gettext_lazy as _


class WorkflowsConfig(AppConfig):
    """Starts nothing: a management command or a shell is as good a host as a web server."""

    name = "django_workflows"
    verbose_name = _("Workflows")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Find the workflows, as the admin finds its admin.py modules."""
        from django_workflows.checks import check_workflows
        from django_workflows.conf import settings

        autodiscover_modules("workflows")
        with suppress(Exception):  # the checks say what is wrong with it
            import_string(settings.ADAPTER["BACKEND"])  # makes its jobs known to its workers
        django_checks.register(check_workflows, "workflows")

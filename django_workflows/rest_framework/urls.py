"""The URLs: ``path("api/", include("django_workflows.rest_framework.urls"))``."""

from django_workflows.exceptions import ConfigurationError

try:
    from rest_framework.routers import SimpleRouter

    from django_workflows.rest_framework import schema  # noqa: F401  drf-spectacular learns of it
    from django_workflows.rest_framework.approvals import ApprovalViewSet
    from django_workflows.rest_framework.events import EventViewSet
    from django_workflows.rest_framework.executions import ExecutionViewSet
    from django_workflows.rest_framework.workflows import WorkflowViewSet
except ModuleNotFoundError as error:  # pragma: no cover  the tests have them
    raise ConfigurationError(
        f"The REST API needs what is missing here ({error}):"
        ' pip install "django-durable-workflows[rest]"'
    ) from error

router = SimpleRouter()
router.register("workflows", WorkflowViewSet, "workflows")
router.register("executions", ExecutionViewSet, "executions")
router.register("approvals", ApprovalViewSet, "approvals")
router.register("events", EventViewSet, "events")

urlpatterns = router.urls

"""The API in a namespace within another."""

from django.urls import include, path

workflows = include(("django_workflows.rest_framework.urls", "workflows"), namespace="flows")

urlpatterns = [path("v1/", include(([path("workflows/", workflows)], "api"), namespace="v1"))]

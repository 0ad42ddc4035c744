"""The API as a project has it, whose pages for what is not there are JSON as well."""

from django.http import JsonResponse
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

urlpatterns = [
    path("api/", include("django_workflows.rest_framework.urls")),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
]


def handler404(request, exception):
    return JsonResponse({"detail": "Not found."}, status=404)


def handler400(request, exception):
    return JsonResponse({"detail": "Bad request."}, status=400)

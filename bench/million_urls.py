"""The URLs of that site: the admin, and the API where it is installed."""

from importlib.util import find_spec

from django.apps import apps
from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls)]
if apps.is_installed("rest_framework") and find_spec("django_workflows.rest_framework.urls"):
    urlpatterns.append(path("api/", include("django_workflows.rest_framework.urls")))

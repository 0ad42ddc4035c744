"""All that people reach: the admin, the API and the decision links."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("django_workflows.rest_framework.urls")),
    path("decide/", include("django_workflows.links.urls")),
]

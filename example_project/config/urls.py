from django.apps import apps
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("shop.urls")),
    path("admin/", admin.site.urls),
    path("decisions/", include("django_workflows.links.urls")),
]

if all(apps.is_installed(name) for name in ("rest_framework", "django_filters", "drf_spectacular")):
    urlpatterns.append(path("api/", include("config.api")))

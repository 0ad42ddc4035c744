from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

urlpatterns = [
    path("api/", include("django_workflows.rest_framework.urls")),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
]

"""The addresses of decision links, for ``include()``."""

from django.urls import path

from django_workflows.links.views import DecisionView

app_name = "django_workflows_links"

urlpatterns = [path("<str:token>/", DecisionView.as_view(), name="decide")]

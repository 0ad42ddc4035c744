from django.urls import include, path

urlpatterns = [path("decide/", include("django_workflows.links.urls"))]

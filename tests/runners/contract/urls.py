"""A site of one view, which starts a workflow."""

from django.http import JsonResponse
from django.urls import path

from django_workflows import start


def begin(request):
    execution = start("counted")
    if request.POST.get("fail"):
        raise ValueError("after the start")
    return JsonResponse({"id": execution.id})


urlpatterns = [path("start/", begin)]

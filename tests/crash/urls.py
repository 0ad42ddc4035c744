"""A page of a project that starts workflows: each request is one transaction."""

from django.http import JsonResponse
from django.urls import path

from django_workflows import start


def begin(request):
    execution = start("pair", {"number": int(request.POST["number"])})
    if request.POST.get("fail"):
        raise ValueError("after the start")
    return JsonResponse({"execution": execution.id}, status=202)


urlpatterns = [path("begin/", begin)]

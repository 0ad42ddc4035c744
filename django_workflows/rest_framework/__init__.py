"""
The REST API, by Django REST framework: ``include("django_workflows.rest_framework.urls")``.

Nothing here decides anything: the public functions do.
"""

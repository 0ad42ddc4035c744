"""The site whose pages are asked for: settings, people, and which pages there are."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import django
from django.conf import settings

from bench import databases

#: What the API stands on, where it is installed.
_REST = ("rest_framework", "django_filters", "drf_spectacular")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page: its URL's name, who asks for it, and in how many milliseconds and queries."""

    url: str
    who: str = "operator"
    query: str = ""
    takes: str = ""  # the status of the execution that the URL names, where it names one
    most_ms: int
    most_queries: int | None = None


_LIST = "admin:django_workflows_workflowexecution_changelist"

PAGES = {
    "list": Page(url=_LIST, most_ms=300, most_queries=12),
    "list of failed": Page(url=_LIST, query="?status=failed", most_ms=300, most_queries=12),
    "list, searched": Page(url=_LIST, query="?q=shop.order:7", most_ms=300, most_queries=12),
    "dashboard": Page(url="admin:django_workflows_dashboard", most_ms=300, most_queries=12),
    "execution": Page(
        url="admin:django_workflows_workflowexecution_change", takes="failed", most_ms=200
    ),
    "inbox": Page(url="admin:django_workflows_inbox", who="manager", most_ms=100),
    "failures": Page(url="admin:django_workflows_failures", most_ms=300),
    "API list": Page(url="executions-list", most_ms=100),
    "API inbox": Page(url="approvals-list", who="manager", most_ms=100),
}


def configure(database: str) -> None:
    """Configure Django with a database of PostgreSQL for its only one."""
    api = [name for name in _REST if importlib.util.find_spec(name)]
    settings.configure(
        DATABASES={"default": {**databases.declared()["postgres"], "NAME": database}},
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "django_workflows",
            *(api if len(api) == len(_REST) else ()),
        ],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ],
                },
            },
        ],
        ROOT_URLCONF="bench.million_urls",
        SECRET_KEY="bench",
        ALLOWED_HOSTS=["testserver"],
        STATIC_URL="static/",
        USE_TZ=True,
    )
    django.setup()


def people() -> dict[str, Any]:
    """Return who asks for pages: one who may do all, one who decides, and one who has nothing."""
    from django.contrib.auth.models import Group, User

    made = {
        "operator": User(is_superuser=True),
        "manager": User(),
        "nobody": User(),
    }
    for name, user in made.items():
        user.username, user.is_staff = name, True
        user.save()
    made["manager"].groups.add(Group.objects.get_or_create(name="managers")[0])
    return made


def address(page: Page) -> str | None:
    """Return where a page is, None where this site has no such page yet."""
    from django.urls import NoReverseMatch, reverse

    from django_workflows.models import WorkflowExecution

    args = []
    if page.takes:
        newest = WorkflowExecution.objects.filter(status=page.takes).only("pk")
        args = [newest[0].pk]
    try:
        return reverse(page.url, args=args) + page.query
    except NoReverseMatch:
        return None

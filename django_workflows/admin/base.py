"""What every page of workflows in the admin stands on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar, TypeVar

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from django_workflows import reports
from django_workflows.admin.readable import readable
from django_workflows.exceptions import ExecutionNotFound, NotAllowed, UnknownWorkflow
from django_workflows.models import WorkflowExecution
from django_workflows.permissions import ACTIONS, authorize, may, policy

__all__ = ["Link", "Page", "live", "navigation", "page", "page_context", "pages", "readable"]

#: The list of executions, which Django's admin names.
EXECUTIONS = "django_workflows_workflowexecution_changelist"

#: The page of one execution; takes its id.
EXECUTION = "django_workflows_workflowexecution_change"

#: So many approvals that wait for somebody are counted, beside each page's link to the inbox.
INBOX_CAP = 100

P = TypeVar("P", bound="type[Page]")

_pages: list[type[Page]] = []


def page(cls: P) -> P:
    """Add a Page to the admin; the decorator of each. Raise ValueError where its name is taken."""
    if any(cls.name == known.name for known in _pages):
        raise ValueError(f"A page is named {cls.name!r} already.")
    _pages.append(cls)
    return cls


def pages() -> list[type[Page]]:
    """Return the pages that ``page()`` was given."""
    return list(_pages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A place to go to."""

    title: str | Promise
    url: str
    count: str = ""
    is_current: bool = False


class Page:
    """
    A page of its own in the admin, rendered on the server, for staff only.

    A subclass has ``name`` (its URL is ``admin:django_workflows_<name>``), ``path`` below the list
    of executions, with converters where it takes any; ``title``; ``template``, which extends
    ``admin/django_workflows/base_page.html``; and get(). With post() it takes forms too.

    ``nav`` is its place among the links at the top of each page, from 10 on; None leaves it out.
    With ``live_template``, that is what ``?live=1`` answers, with an ETag: put it between
    ``<div id="…" data-live-url="?live=1">`` and ``</div>``, and it is kept up to date.
    """

    name: ClassVar[str]
    path: ClassVar[str]
    title: ClassVar[str | Promise]
    template: ClassVar[str]
    live_template: ClassVar[str] = ""
    nav: ClassVar[int | None] = None

    def __init__(self, admin_site: AdminSite) -> None:
        self.admin_site = admin_site

    def get(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        """
        Return the template's context; ``title`` and ``parents`` (a list of Link) may be in it.

        Raise NotAllowed for a page that says so, ExecutionNotFound for one that says 404.
        """
        raise NotImplementedError

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Do what the form asks for and redirect. What is raised is treated as in get()."""
        return HttpResponseNotAllowed(["GET", "HEAD"])

    def enter(self, request: HttpRequest) -> None:
        """Raise NotAllowed where the user may not be here: who can do nothing, and is not asked."""
        refuse_stranger(request)

    def offered(self, request: HttpRequest) -> bool:
        """Say whether the links lead here, given that the user sees them."""
        return True

    def count(self, request: HttpRequest) -> str:
        """Return a number to stand beside the link, or an empty text."""
        return ""

    @classmethod
    def url(cls, **kwargs: Any) -> str:
        """Return its address."""
        return reverse(f"admin:django_workflows_{cls.name}", kwargs=kwargs)

    @classmethod
    def url_pattern(cls, admin_site: AdminSite) -> URLPattern:
        """Return what ExecutionAdmin.get_urls() adds for it."""
        view = admin_site.admin_view(cls(admin_site).respond)
        return path(cls.path, view, name=f"django_workflows_{cls.name}")

    def respond(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Answer a request: the view."""
        return guarded(request, self.admin_site, lambda: self._respond(request, kwargs))

    def _respond(self, request: HttpRequest, kwargs: dict[str, Any]) -> HttpResponse:
        self.enter(request)
        if request.method == "POST":
            return self.post(request, **kwargs)
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        context = self.get(request, **kwargs)
        if self.live_template and "live" in request.GET:
            return live(request, self.live_template, {"page": self, **context})
        return self.show(request, context)

    def show(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        """Return the page with its template's own context; for a post() with a form to correct."""
        around = page_context(request, self.admin_site, current=self.name)
        whole = {**around, "title": self.title, "page": self, **context}
        return TemplateResponse(request, self.template, whole)


def guarded(
    request: HttpRequest, site: AdminSite, answer: Callable[[], HttpResponse]
) -> HttpResponse:
    """Return the answer, a page that says why it is refused (403), or raise Http404."""
    try:
        return answer()
    except NotAllowed as error:
        context = {**page_context(request, site), "title": _("Not allowed"), "sentence": str(error)}
        template = "admin/django_workflows/base_refused.html"
        return TemplateResponse(request, template, context, status=403)
    except (ExecutionNotFound, UnknownWorkflow) as error:
        raise Http404(str(error)) from error


def is_stranger(request: HttpRequest) -> bool:
    """Say whether the user can do nothing with any execution, and is asked by none."""
    known: bool | None = getattr(request, "_is_workflow_stranger", None)
    if known is None:  # the links, and each list of apps, ask again
        known = _is_stranger(request.user)
        request._is_workflow_stranger = known  # type: ignore[attr-defined]  # noqa: SLF001
    return known


def _is_stranger(user: Any) -> bool:
    if not user.is_active:
        return True
    if any(may(user, action) for action in ACTIONS):
        return False
    # One by one: joined by OR, as visible_to() has it, they are asked of each execution.
    if reports.is_asked(user):
        return False
    return not WorkflowExecution.objects.filter(policy().visible(user)).exists()


def refuse_stranger(request: HttpRequest) -> None:
    """Raise NotAllowed for who is_stranger()."""
    if is_stranger(request):
        authorize(request.user, "view")


def page_context(request: HttpRequest, site: AdminSite, *, current: str = "") -> dict[str, Any]:
    """Return what ``base_page.html`` needs, Django's own each_context() included."""
    return {
        **site.each_context(request),
        "opts": WorkflowExecution._meta,
        "workflow_links": navigation(request, site, current=current),
    }


def navigation(request: HttpRequest, site: AdminSite, *, current: str = "") -> Sequence[Link]:
    """Return the links at the top of each page; ``current`` is the name of the page shown."""
    if is_stranger(request):
        return []
    executions = Link(
        title=_("Executions"),
        url=reverse(f"admin:{EXECUTIONS}"),
        is_current=current == "executions",
    )
    found: list[tuple[int, Link]] = [(20, executions)]
    for cls in _pages:
        shown = cls(site)
        if cls.nav is not None and shown.offered(request):
            link = Link(
                title=cls.title,
                url=cls.url(),
                count=shown.count(request),
                is_current=current == cls.name,
            )
            found.append((cls.nav, link))
    return [link for _place, link in sorted(found, key=lambda one: one[0])]


# Live refresh -----------------------------------------------------------------------------------

#: Is another in each answer, and means the same.
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]*"')


def live(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    *,
    goes_on: bool = True,
) -> HttpResponse:
    """
    Return the part of a page that live.js asks for: 304 where it has not changed since.

    Without ``goes_on`` live.js asks no more.
    """
    html = render_to_string(template, context, request)
    tag = etag(_TOKEN.sub("", html))
    if request.headers.get("If-None-Match") == tag:
        return unchanged(tag)
    response = HttpResponse(html)
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"
    if not goes_on:
        response["X-Workflows-Live"] = "off"
    return response


def etag(text: str) -> str:
    """Return the ETag of a text."""
    return f'"{blake2b(text.encode(), digest_size=12).hexdigest()}"'


def unchanged(tag: str) -> HttpResponse:
    """Return the answer 304."""
    response = HttpResponse(status=304)
    response["ETag"] = tag
    return response


def inbox_count(request: HttpRequest) -> str:
    """Return how many approvals wait for the user, as text; empty where none does."""
    count = reports.count_of(reports.inbox(request.user), INBOX_CAP)
    return str(count) if count else ""

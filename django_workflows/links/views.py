"""The page behind a decision link: GET shows what is to be decided, POST decides."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from django import forms
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.utils.log import log_response
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import View
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_exempt

from django_workflows import api
from django_workflows.core.schemas import response_schema
from django_workflows.exceptions import (
    NotAllowed,
    NotResumable,
    PayloadError,
    StoreUnavailable,
    UnknownWorkflow,
)
from django_workflows.links.opening import Closed, Opened, opened
from django_workflows.links.shown import (
    consequences,
    name_of,
    rows,
    subject_name,
    workflow_name,
)

logger = logging.getLogger("django_workflows")

#: Characters of a comment.
MOST_CHARACTERS = 4_000

#: What Django raises of a body that is no form, is too large, or does not come to its end.
UNREADABLE = (BadRequest, MultiPartParserError, SuspiciousOperation, UnreadablePostError)


class CommentForm(forms.Form):
    """What a person may add to a decision."""

    comment = forms.CharField(
        label=gettext_lazy("Comment"),
        required=False,
        max_length=MOST_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 4}),
    )


# The token is the authority, not a cookie: whoever can forge a request has it, and can as well send
# it. A check would keep nobody out but those whose browser takes no cookie, or names no origin.
@method_decorator(csrf_exempt, name="dispatch")
@method_decorator(xframe_options_deny, name="dispatch")
class DecisionView(View):
    """
    One link's page. The person is the one the link was made for, whoever is logged in.

    A GET changes nothing: mail programs and their scanners open links by themselves.
    """

    http_method_names = ["get", "head", "post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer, and keep the answer out of caches, search engines and other sites' logs."""
        response = self._answer(request, *args, **kwargs)
        response.headers["Cache-Control"] = "no-store, private"
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
        response.headers["Referrer-Policy"] = "no-referrer"
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            # Django would log the path, and with it a token that may yet decide.
            log_response("Decision link: %s", response.reason_phrase, response=response)
        return response

    def _answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().dispatch(request, *args, **kwargs)  # type: ignore[return-value]
        except Closed as error:
            closed = error
        except (StoreUnavailable, UnknownWorkflow):
            logger.exception("A decision link cannot be used now")
            # The store may have gone away after it wrote.
            closed = Closed(
                HTTPStatus.SERVICE_UNAVAILABLE,
                _("This cannot be decided right now"),
                _(
                    "If you have decided, that may have been recorded. Try again in a few minutes:"
                    " it counts once, and the page will say so."
                ),
            )
        facts = {"title": closed.title, "text": closed.text}
        return render(request, "django_workflows/links/closed.html", facts, status=closed.status)

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        """Show what is to be decided."""
        found = opened(token)
        _refuse_bare_yes(found)
        return self._page(request, found, CommentForm())

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        """Decide, as the link says."""
        found = opened(token)
        _refuse_bare_yes(found)
        form = _filled_in(request)
        if not form.is_valid():
            return self._page(request, found, form)
        try:
            api.resume(
                found.execution.id,
                approved=found.link.approved,
                response=form.cleaned_data["comment"] or None,
                step=found.wait.id,
                by=found.person,
            )
        except PayloadError:
            form.add_error("comment", _("This comment is too long to be kept."))
            return self._page(request, found, form)
        except (NotAllowed, NotResumable) as error:
            # Something changed between the look and the lock: say what there is to say now.
            opened(token)
            logger.warning("A decision link was refused: %s", error)
            raise Closed(
                HTTPStatus.CONFLICT, _("This cannot be decided by this link"), _("Log in instead.")
            ) from error
        facts = self._facts(found)
        return render(request, "django_workflows/links/done.html", facts)

    def _page(self, request: HttpRequest, found: Opened, form: CommentForm) -> HttpResponse:
        facts = {**self._facts(found), "rows": rows(found.wait.data.get("context")), "form": form}
        status = HTTPStatus.BAD_REQUEST if form.errors else HTTPStatus.OK
        return render(request, "django_workflows/links/confirm.html", facts, status=status)

    def _facts(self, found: Opened) -> dict[str, Any]:
        approved = found.link.approved
        return {
            "approved": approved,
            "person": found.person,
            "name": name_of(found.person),
            "workflow": workflow_name(found.execution),
            "execution": found.execution,
            "subject": subject_name(found.execution, found.person),
            "wait": found.wait,
            "consequences": consequences(found.execution, found.wait, approved=approved),
        }


def _filled_in(request: HttpRequest) -> CommentForm:
    """Return the form that was sent. Raise Closed, where Django would log the path."""
    try:
        return CommentForm(request.POST)
    except UNREADABLE as error:
        raise Closed(
            HTTPStatus.BAD_REQUEST,
            _("This could not be read"),
            _("Nothing was decided. Open the link again, and use the button on its page."),
        ) from error


def _refuse_bare_yes(found: Opened) -> None:
    """Raise Closed where an approval asks for more than the page of a link has fields for."""
    if found.link.approved and response_schema(found.wait.data) is not None:
        raise Closed(
            HTTPStatus.CONFLICT,
            _("This takes more than a yes"),
            _("The approval has to say something that is checked. Log in to give it."),
        )

"""
What each address answers to each person: one line of EXPECTED for every name in the URL conf.

A rule gets the person and whose execution the address names, and returns the status, and whether
rows change by it. Who may not see a row is told 404, as of one that is not there; who sees it and
may not do what they ask is told 403.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.faces.people import KNOWN, STAFF, can, may_at_all

#: The admin's way to say "log in first".
LOGIN = "login"

#: Django's own and the example's: no page of workflows, and no right of theirs.
OF_OTHERS = (
    "admin:auth_",
    "admin:shop_order_",
    "admin:shop_product_",
    "admin:shop_shipment_",
    "admin:shop_notification_",
    "admin:shop_closedroute_",
    "admin:index",
    "admin:login",
    "admin:logout",
    "admin:password_change",
    "admin:autocomplete",
    "admin:jsi18n",
    "admin:view_on_site",
    "admin:app_list",
    "admin:None",  # redirects of old addresses, and 404
)

#: But these are ours.
OURS = ("admin:shop_order_start_workflow",)

W = "admin:django_workflows_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What GET and POST of one address answer; other methods change nothing and are refused."""

    get: Callable[..., Any]
    post: Callable[..., Any]
    args: Callable[[Any], list[Any]] = field(default=lambda place: [])
    body: Callable[[Any], dict[str, Any]] = field(default=lambda place: {})
    is_json: bool = False


def none(_person, _whose):
    """Refuse the method."""
    return 405


# The admin ---------------------------------------------------------------------------------------


def inside(rule):
    """Let the staff in alone."""

    def asked(person, whose):
        return rule(person, whose) if person in STAFF else LOGIN

    return asked


def known(status=200):
    """Let in who can do anything, or is asked."""
    return inside(lambda person, whose: status if person in KNOWN else 403)


def everybody(status=200):
    return inside(lambda person, whose: status)


def holders(action, status=200):
    """Let in who has a permission."""
    return inside(
        lambda person, whose: 403 if not may_at_all(person, action) else status,
    )


def seen(status=200):
    """Show a row to who may view it."""
    return inside(lambda person, whose: status if can(person, "view", whose) else 404)


def verb(action, status, *, asked=True, changes=False):
    """Let who sees a row do one thing with it."""

    def rule(person, whose):
        if not can(person, "view", whose, asked=asked):
            return 404
        if not can(person, action, whose, asked=asked):
            return 403
        return (status, changes)

    return inside(rule)


def refused_method(rule):
    """Refuse a method to who is let in."""

    def asked(person, whose):
        return 405 if rule(person, whose) == 200 else rule(person, whose)

    return asked


def _decided(person, whose):
    if can(person, "decide", whose):
        return (302, True)
    return 403 if can(person, "view", whose) else 404


def _inbox(person, whose):
    if can(person, "decide", whose):
        return (302, True)
    return 403 if can(person, "view", whose) else 302


def _started(person, whose):
    if not may_at_all(person, "start"):
        return 403
    return 404 if whose == "missing" else (302, True)


def _start_form(person, whose):
    if not may_at_all(person, "start"):
        return 403
    return 404 if whose == "missing" else 200


def _workflow(person, whose):
    """A workflow is known to whom it is open, and to who sees an execution of it."""
    if whose == "missing":
        return 404 if person in KNOWN else 403
    if may_at_all(person, "view") or may_at_all(person, "start") or can(person, "view", whose):
        return 200
    return 403


def _start_order(person, whose):
    """Only who sees the order in the admin may start anything for it."""
    if person != "superuser":
        return 404 if person in STAFF and whose == "missing" else 403
    return 404 if whose == "missing" else (302, True)


def act(name, status, **body):
    """Return what the page of one verb answers."""
    asked = name == "cancel"
    kind = "asking" if asked else "failed"
    return Expect(
        get=verb(name, 200, asked=asked),
        post=verb(name, status, asked=asked, changes=True),
        args=lambda place: [getattr(place, kind), name],
        body=lambda place: body,
    )


ADMIN = {
    f"{W}workflowexecution_changelist": Expect(get=known(), post=known()),
    f"{W}workflowexecution_add": Expect(get=everybody(403), post=everybody(403)),
    f"{W}workflowexecution_change": Expect(
        get=seen(),
        post=refused_method(everybody()),
        args=lambda place: [place.asking],
    ),
    f"{W}workflowexecution_delete": Expect(
        get=everybody(403),
        post=everybody(403),
        args=lambda place: [place.asking],
    ),
    f"{W}workflowexecution_history": Expect(
        get=seen(302), post=seen(302), args=lambda place: [place.asking]
    ),
    f"{W}dashboard": Expect(get=known(), post=refused_method(known())),
    f"{W}failures": Expect(get=known(), post=refused_method(known())),
    f"{W}workflows": Expect(get=known(), post=refused_method(known())),
    f"{W}bulk": Expect(get=everybody(), post=everybody(302), body=lambda place: {"plan": "none"}),
    f"{W}inbox": Expect(
        get=everybody(),
        post=inside(_inbox),
        body=lambda place: {"wait": place.wait, "decision": "approve"},
    ),
    f"{W}events": Expect(
        get=holders("resume"),
        post=holders("resume", (302, True)),
        body=lambda place: {"name": "paid", "key": "7", "data": "1"},
    ),
    f"{W}workflow": Expect(
        get=inside(_workflow),
        post=refused_method(known()),
        args=lambda place: [place.workflow],
    ),
    f"{W}start": Expect(
        get=inside(_start_form),
        post=inside(_started),
        args=lambda place: [place.workflow],
    ),
    f"{W}entry": Expect(
        get=seen(),
        post=refused_method(everybody()),
        args=lambda place: [place.asking, place.entry],
    ),
    f"{W}answer": Expect(
        get=seen(),
        post=inside(_decided),
        args=lambda place: [place.asking, place.wait],
        body=lambda place: {"decision": "approve"},
    ),
    f"{W}act retry": act("retry", 302),
    f"{W}act skip": act("skip", 302, confirmed="on"),
    f"{W}act fork": act("fork", 302, from_step="look"),
    f"{W}act cancel": act("cancel", 302, confirmed="on"),
    "admin:shop_order_start_workflow": Expect(
        get=inside(none),
        post=inside(_start_order),
        args=lambda place: [place.order, "order_fulfilment"],
    ),
}


# The API -----------------------------------------------------------------------------------------


def logged_in(rule):
    """Ask everybody else to log in."""

    def asked(person, whose):
        return 403 if person == "anonymous" else rule(person, whose)

    return asked


def api_verb(action, status, *, of="asking"):
    """Return what a verb answers: of the execution that asks, or of one that asks nobody."""

    asked = of == "asking"

    def rule(person, whose):
        if not can(person, "view", whose, asked=asked):
            return 404
        if not can(person, action, whose, asked=asked):
            return 403
        return (status, True)

    return Expect(
        get=logged_in(none),
        post=logged_in(rule),
        args=lambda place: [getattr(place, of)],
        is_json=True,
    )


def api_row():
    """Return what a part of an execution answers."""
    return Expect(
        get=logged_in(lambda person, whose: 200 if can(person, "view", whose) else 404),
        post=logged_in(none),
        args=lambda place: [place.asking],
        is_json=True,
    )


def _listed_workflow(person, whose):
    offered = may_at_all(person, "view") or may_at_all(person, "start")
    return 200 if offered and whose != "missing" else 404


def _posted(person, whose):
    if not may_at_all(person, "start"):
        return 403
    return 400 if whose == "missing" else (201, True)


def _with(expect, **body):
    return Expect(
        get=expect.get,
        post=expect.post,
        args=expect.args,
        body=lambda place: body,
        is_json=True,
    )


REST = {
    "workflows-list": Expect(
        get=logged_in(lambda person, whose: 200), post=logged_in(none), is_json=True
    ),
    "workflows-detail": Expect(
        get=logged_in(_listed_workflow),
        post=logged_in(none),
        args=lambda place: [place.workflow],
        is_json=True,
    ),
    "executions-list": Expect(
        get=logged_in(lambda person, whose: 200),
        post=logged_in(_posted),
        body=lambda place: {"workflow": place.workflow},
        is_json=True,
    ),
    "executions-detail": api_row(),
    "executions-entries": api_row(),
    "executions-events": api_row(),
    "executions-approve": api_verb("decide", 200),
    "executions-reject": api_verb("decide", 200),
    "executions-resume": api_verb("resume", 200, of="halted"),
    "executions-retry": api_verb("retry", 200, of="failed"),
    "executions-skip": api_verb("skip", 200, of="failed"),
    "executions-cancel": api_verb("cancel", 200),
    "executions-fork": _with(api_verb("fork", 201, of="failed"), from_step="look"),
    "approvals-list": Expect(
        get=logged_in(lambda person, whose: 200), post=logged_in(none), is_json=True
    ),
    "approvals-detail": Expect(
        get=logged_in(lambda person, whose: 200 if can(person, "decide", whose) else 404),
        post=logged_in(none),
        args=lambda place: [place.wait],
        is_json=True,
    ),
    "approvals-decide": Expect(
        get=logged_in(none),
        post=api_verb("decide", 200).post,
        args=lambda place: [place.wait],
        body=lambda place: {"approved": True},
        is_json=True,
    ),
    "events-list": Expect(
        get=logged_in(none),
        post=logged_in(lambda person, whose: (201, True) if may_at_all(person, "resume") else 403),
        body=lambda place: {"name": "paid", "key": "7"},
        is_json=True,
    ),
}


# Decision links ----------------------------------------------------------------------------------


def _link(person, whose):
    """The link says who decides, not the session: "foreign" is one whose person may not."""
    return {"own": 200, "foreign": 403, "missing": 410}[whose]


LINKS = {
    "django_workflows_links:decide": Expect(
        get=_link,
        post=lambda person, whose: (200, True) if whose == "own" else _link(person, whose),
        args=lambda place: [place.token],
    ),
}

EXPECTED = {**ADMIN, **REST, **LINKS}

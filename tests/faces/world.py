"""Executions that people may look at, and clients that ask for them."""

from dataclasses import dataclass
from hashlib import blake2b

from django.apps import apps
from django.db import connection
from django.test import Client
from django.urls import URLPattern, get_resolver
from shop.models import Order

from django_workflows import run, wiring
from django_workflows.core.ids import new_id
from django_workflows.core.waits import WaitKind
from django_workflows.links import decision_url
from django_workflows.links.tokens import Link
from django_workflows.models import WorkflowEntry
from django_workflows.steps import Approval, Call, End, Halt
from tests.faces import people
from tests.factories import WaitFactory


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What one address may name: an execution that asks, one that failed, and what is theirs."""

    asking: str
    failed: str
    halted: str
    wait: str
    entry: int
    workflow: str
    order: int
    token: str


class World:
    """People, their clients, and the places of each kind."""

    def __init__(self, registered):
        def fail():
            raise ValueError("no money")

        for name in ("own", "foreign"):
            asked = "user:approver" if name == "own" else "user:somebody"
            registered(f"asking_{name}", review=Approval("Well?", approvers=[asked]), done=End())
        registered("failing", look=Call(lambda: 1), charge=Call(fail), done=End())
        registered("halting", ask=Halt("Which?"), done=End())
        self.users = people.made()
        self.places = {
            "own": self._place("own", "requester", self.users["approver"]),
            "foreign": self._place("foreign", "somebody", self.users["staff"]),
            "missing": self._missing(),
        }
        self.clients = {}
        for person in people.PEOPLE:
            self.clients[person] = Client()
            if person != "anonymous":
                self.clients[person].force_login(self.users[person])

    def _place(self, name, by, decider):
        asking = run(f"asking_{name}", by=by).execution_id
        failed = run("failing", by=by).execution_id
        [wait] = wiring.store().waits(asking)
        order = Order.objects.create(number=f"{name}-1", customer="Ada", country="de")
        return Place(
            asking=asking,
            failed=failed,
            halted=run("halting", by=by).execution_id,
            wait=wait.id,
            entry=WorkflowEntry.objects.filter(execution=asking).latest("pk").pk,
            workflow=f"asking_{name}",
            order=order.pk,
            token=token_of(decision_url(wait, decider, approved=True)),
        )

    def _missing(self):
        wait = WaitFactory.build(kind=WaitKind.APPROVAL)
        return Place(
            asking=new_id(),
            failed=new_id(),
            halted=new_id(),
            wait=new_id(),
            entry=10**9,
            workflow="there_is_none",
            order=10**9,
            token=token_of(decision_url(wait, self.users["approver"], approved=True)),
        )


def token_of(url):
    """Return the token of a decision link."""
    token = url.rstrip("/").rpartition("/")[2]
    assert Link.read(token)
    return token


def patterns(found=None, prefix="", space=""):
    """Generate name and route of every address of the URL conf."""
    for one in get_resolver().url_patterns if found is None else found:
        route = f"{prefix}{one.pattern}"
        if isinstance(one, URLPattern):
            yield f"{space}{one.name}", route
        else:
            inner = f"{space}{one.namespace}:" if one.namespace else space
            yield from patterns(one.url_patterns, route, inner)


def checksums(*labels):
    """Return a checksum of each table, or of those of some apps."""
    return {
        model._meta.db_table: _checksum(model)
        for model in apps.get_models(include_auto_created=True)
        if not labels or model._meta.app_label in labels
    }


def _checksum(model):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(model._meta.db_table)}")
        rows = sorted(map(repr, cursor.fetchall()))
    return blake2b("\n".join(rows).encode(), digest_size=12).hexdigest()

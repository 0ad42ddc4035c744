"""Clients, and executions to ask for."""

from itertools import count

import pytest
from django.contrib.auth.models import Group, Permission, User
from rest_framework.test import APIClient

from django_workflows import run, wiring
from django_workflows.steps import Approval, Call, Halt


@pytest.fixture(autouse=True)
def urls(settings):
    settings.ROOT_URLCONF = "tests.rest_framework.urls"


@pytest.fixture
def user():
    """Make a user with the rights to some actions."""

    def make(name, *actions, **options):
        made = User.objects.create_user(name, **options)
        codenames = [f"{action}_workflowexecution" for action in actions]
        made.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        return made

    return make


@pytest.fixture
def client_of():
    """Return the client of a user, who may be made or named."""

    def make(user):
        client = APIClient()
        known = User.objects.get(username=user) if isinstance(user, str) else user
        client.force_authenticate(User.objects.get(pk=known.pk))
        return client

    return make


@pytest.fixture
def root():
    client = APIClient()
    client.force_authenticate(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def asking(registered):
    """Run an execution until it asks for an approval."""
    numbers = count()

    def halted(*approvers, by=None, **options):
        made = registered(
            f"asking_{next(numbers)}", review=Approval("Well?", approvers=approvers, **options)
        )
        return wiring.store().load(run(made, by=by).execution_id)

    return halted


@pytest.fixture
def halted(registered):
    """Run an execution until it halts."""
    made = registered("halting", ask=Halt("well?"), work=Call(lambda: 1))
    return wiring.store().load(run(made).execution_id)


@pytest.fixture
def broken(registered):
    """Run an execution that fails in its second step, until it may work."""
    may_work = []

    def charge():
        if not may_work:
            raise ValueError("no money")
        return "charged"

    made = registered("breaking", look=Call(lambda: 1), charge=Call(charge))
    execution = wiring.store().load(run(made, {"order": 1}).execution_id)
    return execution, lambda: may_work.append(True)


@pytest.fixture
def managers(user, client_of):
    """Three of one group, without any right besides."""
    group = Group.objects.create(name="managers")
    made = {}
    for name in ("ann", "bob", "cid"):
        one = user(name)
        one.groups.add(group)
        made[name] = client_of(one)
    return made

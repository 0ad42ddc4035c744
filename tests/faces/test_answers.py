"""Who may answer what, asked on every way to it: the wait that is answered decides, not another."""

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db.models import Q
from django.test import Client
from django.urls import reverse

from django_workflows import run, wiring
from django_workflows.links import decision_url
from django_workflows.permissions import Policy
from django_workflows.steps import Approval, Parallel, SubWorkflow

pytestmark = pytest.mark.django_db(transaction=True)


def make_user(name, *actions, **options):
    user = User.objects.create_user(name, is_staff=True, **options)
    codenames = [f"{action}_workflowexecution" for action in actions]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return User.objects.get(pk=user.pk)


def logged_in(user):
    client = Client()
    client.force_login(user)
    return client


def by_rest(user, execution, wait):
    url = f"/api/approvals/{wait.id}/decide/"
    sent = {"approved": True}
    return logged_in(user).post(url, sent, "application/json").status_code == 200


def by_rest_of_the_execution(user, execution, wait):
    url = f"/api/executions/{execution}/approve/"
    sent = {"step": wait.id} if wait.execution_id == execution else {}
    return logged_in(user).post(url, sent, "application/json").status_code == 200


def by_page(user, execution, wait):
    url = reverse("admin:django_workflows_answer", args=[wait.execution_id, wait.id])
    return logged_in(user).post(url, {"decision": "approve"}).status_code == 302


def by_inbox(user, execution, wait):
    url = reverse("admin:django_workflows_inbox")
    sent = {"wait": wait.id, "decision": "approve"}
    return logged_in(user).post(url, sent).status_code == 302


def by_link(user, execution, wait):
    return logged_in(user).post(decision_url(wait, user, True)).status_code == 200


def by_command(user, execution, wait):
    words = ["--step", wait.id] if wait.execution_id == execution else []
    try:
        call_command("workflows", "resume", execution, "--approve", "--as", user.username, *words)
    except CommandError:
        return False
    return True


@pytest.fixture(autouse=True)
def urls(settings):
    settings.ROOT_URLCONF = "tests.faces.urls"


WAYS = [by_rest, by_rest_of_the_execution, by_page, by_inbox, by_link, by_command]


def answered(wait):
    [known] = [one for one in wiring.store().waits(wait.execution_id) if one.id == wait.id]
    return [answer.by for answer in known.answers]


@pytest.fixture
def two(registered):
    """The waits of an execution that asks ann on the left, and nobody on the right."""
    both = Parallel(left=Approval("?", approvers=["user:ann"]), right=Approval("?"))
    waits = wiring.store().waits(run(registered("two", both=both)).execution_id)
    return {"left" if wait.approvers else "right": wait for wait in waits}


@pytest.mark.parametrize("way", WAYS)
def test_who_is_asked_on_the_left_has_no_say_on_the_right(two, way):
    ann = make_user("ann")

    assert not way(ann, two["right"].execution_id, two["right"])
    assert answered(two["right"]) == []
    assert way(ann, two["left"].execution_id, two["left"])
    assert answered(two["left"]) == ["ann"]


@pytest.mark.parametrize("way", WAYS)
def test_who_may_only_look_decides_nothing(two, way):
    viewer = make_user("viewer", "view")

    for wait in two.values():
        assert not way(viewer, wait.execution_id, wait)
        assert answered(wait) == []


@pytest.mark.parametrize("way", WAYS)
def test_who_may_decide_decides_what_names_nobody(two, way):
    able = make_user("able", "view", "decide")

    assert not way(able, two["left"].execution_id, two["left"])
    assert way(able, two["right"].execution_id, two["right"])
    assert answered(two["right"]) == ["able"]


class NotOfChildren(Policy):
    def allows(self, user, action, *, workflow_id=None, execution=None):
        return workflow_id != "child" and super().allows(
            user, action, workflow_id=workflow_id, execution=execution
        )

    def visible(self, user):
        return super().visible(user) & ~Q(workflow_id="child")


@pytest.mark.parametrize("way", [by_rest_of_the_execution, by_command])
def test_child_is_not_answered_through_its_parent_against_the_policy(registered, settings, way):
    child = registered("child", ask=Approval("?"))
    parent = run(registered("parent", sub=SubWorkflow(child))).execution_id
    [of_parent] = wiring.store().waits(parent)
    [wait] = wiring.store().waits(of_parent.key)
    able = make_user("able", "view", "decide", "resume")
    settings.WORKFLOWS = {**settings.WORKFLOWS, "POLICY": f"{__name__}.NotOfChildren"}

    assert not way(able, parent, wait)
    assert answered(wait) == []
    del settings.WORKFLOWS["POLICY"]
    assert way(able, parent, wait)
    assert answered(wait) == ["able"]

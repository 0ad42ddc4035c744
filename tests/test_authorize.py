"""Who may see and do what: authorize(), may() and visible_to() agree."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db.models import Q

from django_workflows import resume, run, wiring
from django_workflows.exceptions import NotAllowed
from django_workflows.models import WorkflowExecution, WorkflowWait
from django_workflows.permissions import (
    ACTIONS,
    Policy,
    authorize,
    authorize_answer,
    may,
    sees_all,
)
from django_workflows.steps import Approval, Call, Halt, Parallel

pytestmark = pytest.mark.django_db


def make_user(name, *actions, **options):
    user = User.objects.create_user(name, **options)
    codenames = [f"{action}_workflowexecution" for action in actions]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return User.objects.get(pk=user.pk)


@pytest.fixture
def execution(registered):
    return wiring.store().load(
        run(registered("plain", work=Call(lambda: 1)), by="rita").execution_id
    )


@pytest.fixture
def asking(registered):
    def halted(*approvers, workflow="asking", by=None):
        made = registered(workflow, review=Approval("?", approvers=approvers))
        return wiring.store().load(run(made, by=by).execution_id)

    return halted


def sees(user, execution):
    """What a list says; it has to be what the page says."""
    seen = WorkflowExecution.objects.visible_to(user).filter(pk=execution.id).exists()
    assert seen == may(user, "view", execution)
    return seen


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_takes_the_permission_of_its_name(execution, action):
    able, others = make_user("able", action), make_user("others", *{*ACTIONS} - {action, "start"})

    authorize(able, action, execution)
    with pytest.raises(NotAllowed, match=rf"others may not {action} execution .*{action}_workflow"):
        authorize(others, action, execution)


def test_nobody_without_rights_sees_or_does_anything(execution):
    for user in (AnonymousUser(), make_user("nobody"), make_user("staff", is_staff=True)):
        assert not sees(user, execution)
        assert not any(may(user, action, execution) for action in ACTIONS)


def test_who_is_not_active_may_nothing(execution):
    user = make_user("gone", *ACTIONS, is_active=False)

    assert not sees(user, execution)
    assert not any(may(user, action, execution) for action in ACTIONS)


def test_superuser_may_everything(execution):
    user = User.objects.create_superuser("root")

    assert sees(user, execution)
    assert all(may(user, action, execution) for action in ACTIONS)


def test_who_may_start_sees_what_they_started(execution):
    assert sees(make_user("rita", "start"), execution)
    assert not sees(make_user("sam", "start"), execution)


def test_requester_without_rights_sees_nothing(execution):
    assert not sees(make_user("rita"), execution)


@pytest.mark.parametrize(
    "approvers", [["user:ann"], ["group:buyers"], ["perm:auth.add_group"], ["user:x", "user:ann"]]
)
def test_approver_sees_what_asks_and_may_decide_but_no_more(asking, approvers):
    execution = asking(*approvers)
    ann = make_user("ann")
    ann.groups.add(Group.objects.create(name="buyers"))
    ann.user_permissions.add(Permission.objects.get(codename="add_group"))
    ann = User.objects.get(pk=ann.pk)

    assert sees(ann, execution)
    assert [action for action in ACTIONS if may(ann, action, execution)] == ["view", "decide"]
    assert [one.step for one in WorkflowWait.objects.asking(["user:ann"])] == (
        ["review"] if "user:ann" in approvers else []
    )


@pytest.mark.parametrize(
    "approver", ["user:Ann", "user:annabel", "user:an", 'user:"ann', 'user:x"user:ann"', "user:%"]
)
def test_names_are_compared_as_a_whole(asking, approver):
    assert not sees(make_user("ann"), asking(approver))


def test_names_may_hold_anything(asking):
    name = "Äå \"'\\ %_ é"
    execution = asking(f"user:{name}")

    assert sees(make_user(name), execution)


def test_what_was_decided_is_seen_no_more(asking):
    execution = asking("user:ann")
    resume(execution.id, approved=True, by="ann")

    assert not sees(make_user("ann"), wiring.store().load(execution.id))


def test_unknown_action_is_a_mistake(execution):
    with pytest.raises(ValueError, match="Unknown action 'fly'; there are view, start"):
        may(make_user("ann"), "fly", execution)


class OneWorkflow(Policy):
    def allows(self, user, action, *, workflow_id=None, execution=None):
        if workflow_id not in {None, "plain"}:
            return False
        return super().allows(user, action, workflow_id=workflow_id, execution=execution)

    def visible(self, user):
        return super().visible(user) & Q(workflow_id="plain")


def test_project_narrows_the_rights(settings, execution, asking):
    settings.WORKFLOWS = {**settings.WORKFLOWS, "POLICY": f"{__name__}.OneWorkflow"}
    other = asking("user:ann", workflow="other")
    user = make_user("able", *ACTIONS)

    assert sees(user, execution)
    assert not sees(user, other)
    assert not may(user, "cancel", other)
    assert may(user, "start")
    assert may(user, "start", workflow_id="plain")
    assert not may(user, "start", workflow_id="other")
    assert sees(make_user("ann"), other)  # who is asked, whatever the policy says


# Answers ----------------------------------------------------------------------------------------


@pytest.fixture
def two(registered):
    """An execution that asks ann, and beside that nobody."""
    both = Parallel(left=Approval("?", approvers=["user:ann"]), right=Approval("?"))
    execution = wiring.store().load(run(registered("two", both=both)).execution_id)
    waits = wiring.store().waits(execution.id)
    return execution, *sorted(waits, key=lambda wait: not wait.approvers)


def test_whom_one_approval_asks_answers_that_one(two):
    execution, named, unnamed = two
    ann = make_user("ann")

    authorize_answer(ann, execution, named)
    with pytest.raises(NotAllowed, match=r"ann may not decide .*decide_workflowexecution"):
        authorize_answer(ann, execution, unnamed)


def test_who_may_decide_answers_what_names_nobody(two):
    execution, named, unnamed = two
    able = make_user("able", "decide")

    authorize_answer(able, execution, unnamed)
    with pytest.raises(NotAllowed, match=r"able may not decide .*which asks user:ann"):
        authorize_answer(able, execution, named)


def test_what_is_no_approval_takes_the_right_to_resume(registered):
    execution = wiring.store().load(run(registered("halts", ask=Halt("?"))).execution_id)
    [wait] = wiring.store().waits(execution.id)

    authorize_answer(make_user("able", "resume"), execution, wait)
    with pytest.raises(NotAllowed, match="may not resume"):
        authorize_answer(make_user("decider", "decide"), execution, wait)


@pytest.mark.parametrize("is_superuser", [False, True])
def test_who_is_not_active_answers_nothing(two, is_superuser):
    execution, *waits = two
    gone = make_user("ann", *ACTIONS, is_active=False, is_superuser=is_superuser)

    for wait in waits:
        for user in (gone, AnonymousUser()):
            with pytest.raises(NotAllowed):
                authorize_answer(user, execution, wait)


def test_who_sees_all(settings):
    viewer, starter = make_user("viewer", "view"), make_user("starter", "start")

    assert sees_all(viewer)
    assert sees_all(User.objects.create_superuser("root"))
    assert not sees_all(starter)
    assert not sees_all(AnonymousUser())
    settings.WORKFLOWS = {**settings.WORKFLOWS, "POLICY": f"{__name__}.OneWorkflow"}
    assert not sees_all(viewer)

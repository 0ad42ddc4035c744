from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Group, Permission, User

from django_workflows import run, wiring
from django_workflows.links import decision_url
from django_workflows.steps import Approval, End


@pytest.fixture
def ann():
    return User.objects.create_user("ann", "ann@example.com", first_name="Ann", last_name="Lee")


@pytest.fixture
def bob():
    return User.objects.create_user("bob", "bob@example.com")


@pytest.fixture
def managers(ann, bob):
    group = Group.objects.create(name="managers")
    group.user_set.add(ann, bob)
    return group


@pytest.fixture
def decider():
    """May decide on approvals that name nobody."""
    user = User.objects.create_user("dora", "dora@example.com")
    user.user_permissions.add(Permission.objects.get(codename="decide_workflowexecution"))
    return user


@pytest.fixture
def asking(registered):
    """Return the open approval of a new execution, asked in its step ``review``."""

    def halted(*approvers, prompt="Ship it?", by=None, rejected="refused", **options):
        steps = {
            "review": Approval(prompt, approvers=approvers, on_reject=rejected, **options),
            "done": End(result="shipped"),
        }
        if rejected is not None:
            steps[rejected] = End(result="refused")
        workflow = registered("asking", **steps)
        execution_id = run(workflow, by=by).execution_id
        return wiring.store().waits(execution_id)[0]

    return halted


@pytest.fixture
def wait(asking, ann):
    """Ask ann for an approval."""
    return asking("user:ann")


@pytest.fixture
def links():
    """Return both addresses of one person for one approval."""

    def made(wait, person, **options):
        return SimpleNamespace(
            approve=decision_url(wait, person, approved=True, **options),
            reject=decision_url(wait, person, approved=False, **options),
        )

    return made

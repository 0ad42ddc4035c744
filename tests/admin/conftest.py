"""People of the admin, and addresses of its pages."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse


@pytest.fixture
def person(client):
    """Make a member of the staff with permissions and groups, and log them in."""

    def make(name, *actions, groups=(), is_staff=True):
        user = User.objects.create_user(name, password="pw", is_staff=is_staff)
        names = [f"{action}_workflowexecution" for action in actions]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        user.groups.set(Group.objects.get_or_create(name=group)[0] for group in groups)
        client.force_login(user)
        return user

    return make


@pytest.fixture
def page_of():
    """Return the address of an execution's page."""
    return lambda execution: reverse(
        "admin:django_workflows_workflowexecution_change", args=[execution.id]
    )


@pytest.fixture
def list_url():
    return reverse("admin:django_workflows_workflowexecution_changelist")

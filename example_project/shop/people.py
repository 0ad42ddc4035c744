"""Who works in the shop. The password of each is the name: do so nowhere else."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q

#: What managers may do besides deciding on what asks them, which takes no permission.
MANAGE = ["view_workflowexecution", "retry_workflowexecution", "cancel_workflowexecution"]


def hire_clerk(name: str) -> User:
    """Return the user ``name``, who may use the shop's own pages only."""
    return User.objects.filter(username=name).first() or _hire(name)


def hire_manager(name: str) -> User:
    """Return the manager ``name``, who may look around in the admin and decide on orders."""
    manager = User.objects.filter(username=name).first() or _hire(name, is_staff=True)
    manager.groups.add(_managers())
    return manager


def hire_admin(name: str) -> User:
    """Return the user ``name``, who may do everything but decide for the managers."""
    found = User.objects.filter(username=name).first()
    return found or _hire(name, is_staff=True, is_superuser=True)


def _hire(name: str, **rights: bool) -> User:
    return User.objects.create_user(name, f"{name}@example.com", password=name, **rights)


def _managers() -> Group:
    group, is_new = Group.objects.get_or_create(name="managers")
    if is_new:
        workflows = Q(content_type__app_label="django_workflows", codename__in=MANAGE)
        shop = Q(content_type__app_label="shop", codename__startswith="view_")
        group.permissions.set(Permission.objects.filter(workflows | shop))
    return group

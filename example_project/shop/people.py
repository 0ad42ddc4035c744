"""Who works in the shop."""

from __future__ import annotations

from django.contrib.auth.models import Group, User


def hire_manager(name: str) -> User:
    """Return the manager ``name``, who may use the admin; new ones have their name as password."""
    manager = User.objects.filter(username=name).first()
    if manager is None:
        manager = User.objects.create_superuser(name, password=name)
    manager.groups.add(Group.objects.get_or_create(name="managers")[0])
    return manager

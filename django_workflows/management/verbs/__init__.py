"""What ``manage.py workflows`` can be told to do, each in a module of its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from django_workflows.management.verbs.base import Verb
from django_workflows.management.verbs.doctor import Doctor
from django_workflows.management.verbs.purge import PurgeEnded
from django_workflows.management.verbs.supervise import Supervise
from django_workflows.management.verbs.worker import Work

__all__ = ["VERBS", "Verb"]

#: By the name that follows ``workflows`` on the command line.
VERBS: Mapping[str, Verb] = MappingProxyType(
    {"doctor": Doctor(), "purge": PurgeEnded(), "supervise": Supervise(), "worker": Work()}
)

"""What ``manage.py workflows`` can be told to do: an object a verb."""

from collections.abc import Mapping
from types import MappingProxyType

from django_workflows.management.verbs.answering import Resume, Send
from django_workflows.management.verbs.base import Verb
from django_workflows.management.verbs.checking import Check
from django_workflows.management.verbs.doctor import Doctor
from django_workflows.management.verbs.graphs import Graph
from django_workflows.management.verbs.lists import List
from django_workflows.management.verbs.purge import PurgeEnded
from django_workflows.management.verbs.show import Show
from django_workflows.management.verbs.starting import Run, Start
from django_workflows.management.verbs.stepping import Cancel, Fork, Retry, Skip
from django_workflows.management.verbs.supervise import Supervise
from django_workflows.management.verbs.watching import Watch
from django_workflows.management.verbs.worker import Work

__all__ = ["VERBS", "Verb"]

#: By the name that follows ``workflows`` on the command line, in the order of its help.
VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "list": List(),
        "show": Show(),
        "graph": Graph(),
        "watch": Watch(),
        "start": Start(),
        "run": Run(),
        "resume": Resume(),
        "send": Send(),
        "cancel": Cancel(),
        "retry": Retry(),
        "skip": Skip(),
        "fork": Fork(),
        "check": Check(),
        "doctor": Doctor(),
        "purge": PurgeEnded(),
        "supervise": Supervise(),
        "worker": Work(),
    }
)

"""The verbs by which people step in: cancel, retry, skip, delay; applied under the lock."""

from django_workflows.core.control.cancelling import cancel
from django_workflows.core.control.common import entry_of_verb, new_deadline, refuse_unknown
from django_workflows.core.control.delaying import postpone
from django_workflows.core.control.retrying import reopened, retry
from django_workflows.core.control.skipping import skip

__all__ = [
    "VERBS",
    "cancel",
    "entry_of_verb",
    "new_deadline",
    "postpone",
    "refuse_unknown",
    "reopened",
    "retry",
    "skip",
]

#: What a person can do with a workflow, or to an execution; each is a permission of its own.
VERBS = ("start", "resume", "decide", "retry", "cancel", "skip", "fork")

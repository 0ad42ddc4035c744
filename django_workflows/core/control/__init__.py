"""The verbs by which people step in: cancel, retry, skip, delay; applied under the lock."""

from django_workflows.core.control.cancelling import cancel
from django_workflows.core.control.common import (
    as_shown,
    entry_of_verb,
    new_deadline,
    refuse_moved,
    refuse_unknown,
)
from django_workflows.core.control.delaying import postpone
from django_workflows.core.control.reaching import own_step, refuse_unreached, trail_of
from django_workflows.core.control.retrying import reopened, retry
from django_workflows.core.control.skipping import skip

__all__ = [
    "VERBS",
    "as_shown",
    "cancel",
    "entry_of_verb",
    "new_deadline",
    "own_step",
    "postpone",
    "refuse_moved",
    "refuse_unknown",
    "refuse_unreached",
    "reopened",
    "retry",
    "skip",
    "trail_of",
]

#: What a person can do with a workflow, or to an execution; each is a permission of its own.
VERBS = ("start", "resume", "decide", "retry", "cancel", "skip", "fork")

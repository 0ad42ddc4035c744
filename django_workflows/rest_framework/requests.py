"""What the API takes. A field that is none is refused: a slip of the pen must not pass for a no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from django_workflows.rest_framework.fields import (
    FlagField,
    SecondsField,
    TextField,
    TypedJSONField,
    TypedMappingField,
)

#: As long as the columns are.
MOST_NAME, MOST_KEY = 200, 200

#: A reason stands in the history and in an error.
MOST_REASON = 10_000


class StrictSerializer(serializers.Serializer[Any]):
    """Takes its own fields, and says of every other that it is none."""

    default_error_messages = {"unknown": _("There is no such field; there are {known}.")}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = ", ".join(self.fields) or _("none")
            message = self.error_messages["unknown"].format(known=known)
            unknown = {str(name): [message] for name in data if name not in self.fields}
            if unknown:
                raise serializers.ValidationError(unknown)
        return super().to_internal_value(data)


class WorkflowStartSerializer(StrictSerializer):
    """What starts an execution."""

    workflow = TextField(max_length=MOST_NAME, help_text=_("Id of the workflow."))
    input = TypedMappingField(required=False, help_text=_("What its Input asks for."))
    delay = SecondsField(required=False, help_text=_("Seconds to wait first."))


class WorkflowResumeSerializer(StrictSerializer):
    """An answer to an open wait."""

    step = TextField(
        required=False, help_text=_("Path of the step that waits, or id of the wait; see `waits`.")
    )
    response = TypedJSONField(
        required=False, allow_null=True, help_text=_("What its later steps read as the answer.")
    )


class WorkflowDecideSerializer(StrictSerializer):
    """A decision on an approval."""

    approved = FlagField()
    response = TypedJSONField(
        required=False, allow_null=True, help_text=_("What else there is to say to it.")
    )


class ExpectingSerializer(StrictSerializer):
    """What is done to an execution as it was shown, where that is said."""

    expected_revision = TextField(
        required=False,
        max_length=MOST_NAME,
        help_text=_("Its `revision`; refused with 409 where it has moved on since."),
    )


class WorkflowRetrySerializer(ExpectingSerializer):
    """How a failed execution is to be driven again."""

    from_step = TextField(
        required=False, help_text=_("One that it came to. Left out: the step that failed.")
    )
    input = TypedMappingField(required=False, help_text=_("Replaces the input."))
    reason = TextField(required=False, allow_blank=True, max_length=MOST_REASON)


class WorkflowSkipSerializer(ExpectingSerializer):
    """What the step at which an execution stands is taken to have returned."""

    output = TypedJSONField(required=False, allow_null=True)
    reason = TextField(required=False, allow_blank=True, max_length=MOST_REASON)


class WorkflowCancelSerializer(ExpectingSerializer):
    """How an execution is to end."""

    reason = TextField(required=False, allow_blank=True, max_length=MOST_REASON)
    compensate = FlagField(
        required=False, help_text=_("First undo what the completed steps did, in reverse.")
    )


class WorkflowForkSerializer(ExpectingSerializer):
    """Where a new execution is to begin, with the variables as they were there."""

    from_step = TextField()
    reason = TextField(required=False, allow_blank=True, max_length=MOST_REASON)


class WorkflowEventRequestSerializer(StrictSerializer):
    """An event to send."""

    name = TextField(max_length=MOST_NAME, help_text=_("Without a colon."))
    key = TextField(required=False, allow_blank=True, max_length=MOST_KEY)
    data = TypedJSONField(required=False, allow_null=True)  # type: ignore[assignment]  # the metaclass takes it off

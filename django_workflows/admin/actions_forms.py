"""What a person is asked before a verb is applied to an execution."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from django_workflows import wiring
from django_workflows.admin.columns import top_step
from django_workflows.admin.reached import reached
from django_workflows.core import codec
from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.core.undoing import is_undone
from django_workflows.core.workflow import registry
from django_workflows.exceptions import InputError, PayloadError

#: An input longer than this is not written into the form.
MOST_PREFILLED = 20_000


class JSONText(forms.CharField):
    """Typed JSON, as core.codec writes it; blank is None."""

    widget = forms.Textarea(attrs={"rows": 4, "class": "wf-code", "spellcheck": "false"})

    def to_python(self, value: Any) -> Any:
        """Return the value that the text stands for. Raise ValidationError."""
        text = super().to_python(value)
        if not text:
            return None
        try:
            return codec.decode(json.loads(text))
        except json.JSONDecodeError as error:
            told = _("Not JSON: %(problem)s in line %(line)s, column %(column)s.")
            facts = {"problem": error.msg, "line": error.lineno, "column": error.colno}
            raise ValidationError(told, params=facts) from error
        except PayloadError as error:
            raise ValidationError(str(error)) from error
        except (RecursionError, ValueError) as error:  # too deep, too many digits
            raise ValidationError(_("This JSON cannot be read: %s") % error) from error


def pretty(value: Any) -> str:
    """Return a value as JSONText takes it."""
    return json.dumps(codec.encode(value), indent=2, ensure_ascii=False)


class VerbForm(forms.Form):
    """The form of one verb; ``execution`` is what it would be applied to."""

    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=2_000,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("Kept in the history."),
    )

    #: The revision that is shown: what has moved on since is looked at first.
    revision = forms.CharField(required=False, widget=forms.HiddenInput)

    #: Whether it may be meant for what is under way, wherever that has come to by then.
    follows: ClassVar[bool] = False

    def __init__(self, execution: Execution, verb: str, data: Any = None) -> None:
        super().__init__(data, auto_id=f"{verb}-%s")
        self.execution = execution
        is_under_way = execution.status in {ExecutionStatus.PENDING, ExecutionStatus.RUNNING}
        if not (self.follows and is_under_way):
            self.initial["revision"] = execution.revision

    @property
    def expected_revision(self) -> str | None:
        """Return the revision that was shown; None where any will do."""
        return self.data.get("revision") or None

    @property
    def has_moved(self) -> bool:
        """Say whether the execution is another than the form was shown for."""
        return self.expected_revision not in {None, self.execution.revision}

    @property
    def step_names(self) -> list[str]:
        """Return the workflow's own steps, in their order."""
        return list(registry[self.execution.workflow_id].graph.steps)

    def refuse(self, error: InputError | PayloadError) -> None:
        """Put what the engine says is wrong with a value at its field."""
        self.add_error(None, str(error))


class RetryForm(VerbForm):
    """Where to begin again, and with which input."""

    from_step = forms.ChoiceField(label=_("From step"), required=False)
    # Compared with what was shown: left as it is, it does not undo what others have put there.
    input = JSONText(label=_("Input"), required=False, show_hidden_initial=True)
    field_order = ("from_step", "input", "reason")

    def __init__(self, execution: Execution, verb: str, data: Any = None) -> None:
        super().__init__(execution, verb, data)
        definition = registry[execution.workflow_id]
        names = reached(definition, [execution.id], [execution.current_step])
        field: Any = self.fields["from_step"]
        # To go on where it ended would build on what is no more, and the engine refuses it.
        field.required = is_undone(wiring.store(), execution, definition)
        end = _("Choose: what it had done was undone") if field.required else _("Where it ended")
        field.choices = [("", end), *((name, name) for name in names)]
        written = pretty(execution.input)
        is_short = len(written) <= MOST_PREFILLED
        self.initial["input"] = written if is_short else ""
        kept = _("Left as it is, the input stays what it was.")
        blank = _("Left blank, the input stays what it was; it is too long to be shown here.")
        self.fields["input"].help_text = kept if is_short else blank

    def given_input(self) -> Any:
        """Return the new input; None where it is to stay."""
        given = self.cleaned_data["input"]
        is_kept = "input" not in self.changed_data or given == self.execution.input
        return None if is_kept else given

    def refuse(self, error: InputError | PayloadError) -> None:
        """See VerbForm. Each error of the input is named with its field."""
        if not isinstance(error, InputError):
            super().refuse(error)
            return
        for field, message in error.errors.items():
            self.add_error("input", f"{field}: {message}")


class ForkForm(VerbForm):
    """Where the new execution begins."""

    follows = True
    from_step = forms.ChoiceField(label=_("From step"))
    field_order = ("from_step", "reason")

    def __init__(self, execution: Execution, verb: str, data: Any = None) -> None:
        super().__init__(execution, verb, data)
        field: Any = self.fields["from_step"]
        field.choices = [(name, name) for name in self.step_names]
        self.initial["from_step"] = top_step(execution.current_step)


class ConfirmedForm(VerbForm):
    """A form for what cannot be undone."""

    confirmed = forms.BooleanField(label=_("I know that this cannot be undone"))


class SkipForm(ConfirmedForm):
    """What the skipped step is to have returned."""

    output = JSONText(
        label=_("Output"),
        required=False,
        help_text=_("As JSON: what later steps read as if the step had returned it."),
    )
    field_order = ("output", "reason", "confirmed")


class CancelForm(ConfirmedForm):
    """Whether to undo what was done."""

    follows = True
    compensate = forms.BooleanField(
        label=_("Undo its completed steps first (compensations)"), required=False
    )
    field_order = ("reason", "compensate", "confirmed")

"""A step that stops an execution for a decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, Unpack

from django_workflows.core import schemas
from django_workflows.core.execution import HaltResult, State, StepOutcome
from django_workflows.core.expressions import Reference, references, resolve
from django_workflows.core.steps.base import Run, Step, StepOptions, duration
from django_workflows.core.steps.waiting import after, expired
from django_workflows.core.waits import Answer, Cause, WaitKind
from django_workflows.exceptions import Rejected, StepError

if TYPE_CHECKING:
    from django_workflows.core.document.steps import StepReader

#: What an approver may be, before the colon.
APPROVER_KINDS = ("user", "group", "perm")


class Approval(Step):
    """
    Stop for a decision.

    ``approvers`` are ``"user:alice"``, ``"group:managers"`` or ``"perm:shop.approve_order"``;
    without any, everybody who may resume may decide. ``required`` approvals settle it, or one
    rejection. The output is ``{"approved", "by", "response", "at"}``. A rejection goes to
    ``on_reject``, or raises Rejected; ``timeout`` (seconds or a timedelta) goes to ``on_timeout``,
    or raises WaitTimeout. An approval whose response breaks ``response_schema``, a JSON Schema, is
    refused with a ResponseError; a rejection may say anything.
    """

    type = "approval"
    waits = True

    def __init__(
        self,
        prompt: str,
        *,
        context: Any = None,
        approvers: Sequence[str] = (),
        required: int = 1,
        exclude_requester: bool = True,
        timeout: float | timedelta | None = None,
        remind_after: float | timedelta | None = None,
        on_reject: str | None = None,
        on_timeout: str | None = None,
        response_key: str | None = None,
        response_schema: Mapping[str, Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> None:
        super().__init__(**options)
        self.prompt = prompt
        self.context = context
        self.approvers = tuple(approvers)
        self.required = required
        self.exclude_requester = exclude_requester
        self.wait_for = duration(timeout)
        self.remind_after = duration(remind_after)
        self.on_reject = on_reject
        self.on_timeout = on_timeout
        self.response_key = response_key
        self.response_schema = response_schema

    @classmethod
    def from_document(cls, reader: StepReader) -> Self:
        """
        See Step.from_document(). The response is ``$response`` afterwards.

        A bare name among the approvers is a user where it has an ``@``, otherwise a group.
        """
        return cls(
            reader.text("prompt", required=True),
            context=reader.value("context"),
            approvers=[_approver(name) for name in reader.texts("approvers")],
            required=reader.integer("required", 1, least=1),
            exclude_requester=reader.boolean("exclude_requester", default=True),
            timeout=reader.seconds("timeout"),
            remind_after=reader.seconds("remind_after"),
            on_reject=reader.key("on_reject"),
            on_timeout=reader.key("on_timeout"),
            response_key="response",
            response_schema=reader.mapping("response_schema") or None,
            **reader.options(output=None),
        )

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Ask, or go where the answer leads."""
        if run.answer is None:
            return self.stop(state, self._request(state, run.now))
        answer = run.answer
        if answer.cause == Cause.TIMEOUT:
            return expired(self, state, self.on_timeout, self.wait_for)
        if self.response_key is not None:
            state = state.with_ctx(**{self.response_key: answer.response})
        if answer.approved:
            return self.proceed(state, _decision(answer))
        if self.on_reject is None:
            by = f" by {answer.by}" if answer.by else ""
            raise Rejected(f"Step {self.name!r} was rejected{by}: {answer.response or 'no reason'}")
        return self.proceed(state, _decision(answer), to=self.on_reject)

    def _request(self, state: State, now: datetime) -> HaltResult:
        prompt = str(resolve(self.prompt, state))
        approvers = tuple(str(resolve(approver, state)) for approver in self.approvers)
        for approver in approvers:
            # Else it would wait for a decision that nobody may take.
            if _is_misnamed(approver):
                raise StepError(f"Step {self.name!r}: {_misnamed(approver)}.")
        data = {
            "prompt": prompt,
            "context": resolve(self.context, state),
            "approvers": list(approvers),
            "required": self.required,
        }
        return HaltResult(
            data=schemas.asking(data, self.response_schema),
            prompt=prompt,
            kind=WaitKind.APPROVAL,
            wake_at=after(now, self.wait_for),
            remind_at=after(now, self.remind_after),
            approvers=approvers,
            required=self.required,
            exclude_requester=self.exclude_requester,
        )

    def targets(self) -> Iterator[str]:
        """See Step.targets()."""
        yield from (target for target in (self.on_reject, self.on_timeout) if target is not None)

    def references(self) -> Iterator[Reference]:
        """See Step.references()."""
        return references([self.prompt, self.context, self.approvers])

    def sets(self) -> Iterator[str]:
        """See Step.sets()."""
        yield from super().sets()
        if self.response_key is not None:
            yield self.response_key

    def problems(self) -> Iterator[str]:
        """See Step.problems()."""
        yield from schemas.problems("response_schema", self.response_schema)
        if self.required < 1:
            yield f"required must be at least 1, not {self.required}"
        people = {approver for approver in self.approvers if approver.startswith("user:")}
        if self.approvers and people == set(self.approvers) and len(people) < self.required:
            yield f"required={self.required} people, but only {len(people)} may approve"
        for approver in self.approvers:
            if not approver.startswith("$") and _is_misnamed(approver):
                yield _misnamed(approver)
        if self.on_timeout is not None and self.wait_for is None:
            yield "has on_timeout but no timeout"


def _approver(name: str) -> str:
    """Return an approver of a document with its kind before it."""
    if name.startswith("$") or name.partition(":")[0] in APPROVER_KINDS:
        return name
    return f"user:{name}" if "@" in name else f"group:{name}"


def _decision(answer: Answer) -> dict[str, Any]:
    return {
        "approved": bool(answer.approved),
        "by": answer.by,
        "response": answer.response,
        "at": answer.at,
    }


def _is_misnamed(approver: str) -> bool:
    kind, _, name = approver.partition(":")
    return kind not in {"user", "group", "perm"} or not name


def _misnamed(approver: str) -> str:
    return f"approver {approver!r} must be 'user:NAME', 'group:NAME' or 'perm:APP.CODENAME'"

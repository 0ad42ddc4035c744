"""Steps that run the author's code."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from functools import cached_property, partial, update_wrapper
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, Unpack, cast, overload

from asgiref.sync import async_to_sync
from jsonschema.validators import Draft202012Validator

from django_workflows.core import codec, schemas
from django_workflows.core.execution import (
    ContinueResult,
    HaltResult,
    State,
    StepOutcome,
)
from django_workflows.core.expressions import Reference, references, resolve
from django_workflows.core.retry import ONCE, Retry
from django_workflows.core.steps.base import Run, Step, StepOptions, duration
from django_workflows.core.variables import copied, read_only
from django_workflows.exceptions import ConfigurationError, OutputError, StepError, StepTimeout

if TYPE_CHECKING:
    from django_workflows.core.document.steps import StepReader


def goto(step: str, output: Any = None) -> ContinueResult:
    """Return this from a method step to go on at ``step``; in a loop also "break" or "continue"."""
    return ContinueResult(next_step=step, output=output)


def halt(
    reason: str,
    *,
    resume_step: str | None = None,
    response_schema: Mapping[str, Any] | None = None,
    **data: Any,
) -> HaltResult:
    """
    Return this from a method step to stop until the execution is resumed.

    The flow then goes on at ``resume_step``, or at the step's next; the response is the step's
    output. ``data`` is shown to whoever answers; an answer that breaks ``response_schema``, a JSON
    Schema, is refused. Raise StepError where that is none.
    """
    for problem in schemas.problems("response_schema", response_schema):
        raise StepError(f"halt({reason!r}): {problem}")
    told = schemas.asking({"reason": reason, **data}, response_schema)
    return HaltResult(data=told, prompt=reason, resume_step=resume_step)


class Call(Step):
    """
    Run a method of the workflow, or a service given as a callable or a dotted path.

    A service gets the resolved ``input``: a mapping as keyword arguments, anything else as its
    one argument; without ``input`` it gets the state if it has a parameter of that name.
    ``timeout`` is in seconds. With ``atomic`` the work and its checkpoint are one transaction: a
    timeout is then noticed when the work returns. ``compensate`` names the step that undoes it.
    """

    type = "call"

    def __init__(
        self,
        service: Callable[..., Any] | str,
        *,
        input: Any = None,
        retry: Retry | None = None,
        timeout: float | timedelta | None = None,
        atomic: bool = False,
        compensate: str | None = None,
        output_schema: Mapping[str, Any] | None = None,
        is_method: bool = False,
        **options: Unpack[StepOptions],
    ) -> None:
        super().__init__(**options)
        self.service = service
        self.input = input
        self.retry = retry or ONCE
        self.timeout = duration(timeout)
        self.atomic = atomic
        self.compensate = compensate
        self.output_schema = output_schema
        self.is_method = is_method
        self.work: Callable[..., Any] | None = None
        if is_method and callable(service):
            update_wrapper(cast("Callable[..., Any]", self), service)
            self.description = self.description or inspect.getdoc(service) or ""

    @classmethod
    def from_document(cls, reader: StepReader) -> Self:
        """See Step.from_document(). ``output`` is a ctx key, or a mapping of key and schema."""
        output, schema = _document_output(reader)
        return cls(
            reader.service("service", "method"),
            input=reader.value("input"),
            retry=Retry(
                attempts=reader.integer("retries", 0, least=0) + 1,
                delay=reader.number("retry_delay", 1.0),
                backoff=reader.number("retry_backoff", 2.0, positive=True),
            ),
            timeout=reader.seconds("timeout"),
            output_schema=schema,
            **reader.options(output=output),
        )

    def compiled(self, name: str, *, follow: bool = True) -> Self:
        """See Step.compiled()."""
        step = super().compiled(name, follow=follow)
        step.work = imported(self.service) if isinstance(self.service, str) else self.service
        return step

    def bound(self, workflow: object) -> Self:
        """See Step.bound()."""
        if not self.is_method:
            return self
        step = copy.copy(self)
        step.work = partial(cast("Callable[..., Any]", self.work), workflow)
        return step

    def suggested_name(self) -> str:
        """See Step.suggested_name(): a service's own name."""
        name = getattr(self.service, "__name__", str(self.service).rpartition(".")[2])
        return name if name.isidentifier() else ""

    @cached_property
    def is_async(self) -> bool:
        """Say whether the work is a coroutine function, whose timeout needs no thread."""
        return inspect.iscoroutinefunction(_function(self.work))

    @cached_property
    def _takes_state(self) -> bool:
        try:
            parameters = inspect.signature(self.work).parameters  # type: ignore[arg-type]
        except (TypeError, ValueError):  # a builtin without a signature
            return False
        return (self.is_method and bool(parameters)) or "state" in parameters

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Raise OutputError where the output breaks its schema."""
        if run.answer is not None:
            self._check(run.answer.response)
            return self.proceed(state, run.answer.response, to=run.resume_step)
        returned = self._call(state, run)
        if isinstance(returned, HaltResult):
            return self.stop(state, returned)
        if isinstance(returned, ContinueResult):
            self._check(returned.output)
            return StepOutcome(state=state, result=returned)
        self._check(returned)
        return self.proceed(state, returned)

    def _call(self, state: State, run: Run) -> Any:
        returned = self._prepared(state, run)()
        # Asked of what comes back, as a decorator hides what kind of function is inside.
        if inspect.isawaitable(returned):
            return async_to_sync(self._await)(returned)
        return returned

    def _prepared(self, state: State, run: Run) -> Callable[[], Any]:
        """Return the work with its arguments: copies, so that it cannot change what is stored."""
        work: Any = self.work
        if self.input is not None:
            given = copied(resolve(self.input, state))
            run.note(given)
            return partial(work, **given) if isinstance(given, dict) else partial(work, given)
        if not self._takes_state:
            return partial(work)
        seen = read_only(state)
        # A service may have other parameters, with defaults, before its state.
        return partial(work, seen) if self.is_method else partial(work, state=seen)

    async def _await(self, returned: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self.timeout) as limit:
                return await returned
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StepTimeout(self.name, self.timeout or 0) from error
        except asyncio.CancelledError as error:
            # No Exception, so it would pass for the end of the process.
            raise StepError(f"The work of step {self.name!r} was cancelled.") from error

    def _check(self, output: Any) -> None:
        if self.output_schema is None:
            return
        # The schema speaks of JSON, so that is what it is shown.
        data = json.loads(json.dumps(codec.encode(output)))
        problems = [
            f"{error.json_path}: {error.message}"
            for error in Draft202012Validator(self.output_schema).iter_errors(data)
        ]
        if problems:
            raise OutputError(
                f"Output of step {self.name!r} breaks its schema: {'; '.join(problems)}"
            )

    def references(self) -> Iterator[Reference]:
        """See Step.references()."""
        return references(self.input)

    def problems(self) -> Iterator[str]:
        """See Step.problems()."""
        yield from self.retry.problems()
        if self.timeout is not None and self.timeout <= 0:
            yield f"timeout must be positive, not {self.timeout:g}"
        work: object = self.work
        if work is not None and not callable(work):
            yield f"service {self.service!r} is not callable"
        yield from schemas.problems("output_schema", self.output_schema)


@overload
def step(function: Callable[..., Any], /) -> Call: ...
@overload
def step(
    *,
    input: Any = None,
    retry: Retry | None = None,
    timeout: float | timedelta | None = None,
    atomic: bool = False,
    compensate: str | None = None,
    output_schema: Mapping[str, Any] | None = None,
    **options: Unpack[StepOptions],
) -> Callable[[Callable[..., Any]], Call]: ...
def step(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """
    Make a method of a workflow a step; usable with and without options, see Call.

    The method gets the state (it may leave it out), and what it returns is the step's output;
    it may also return goto() or halt().
    """
    if function is not None:
        return Call(function, is_method=True, **options)
    return lambda decorated: Call(decorated, is_method=True, **options)


def imported(path: str) -> Callable[..., Any]:
    """
    Return what the dotted ``path`` names, such as ``shop.payments.Till.charge``.

    Raise ConfigurationError. Meant for paths that stand in code or settings, never in data.
    """
    parts = path.split(".")
    for split in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:split])
        try:
            found: Any = import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and not f"{module}.".startswith(f"{error.name}."):
                raise
            continue
        try:
            for name in parts[split:]:
                found = getattr(found, name)
        except AttributeError as error:
            raise ConfigurationError(f"Service {path!r} is not there: {error}") from error
        return found  # type: ignore[no-any-return]
    raise ConfigurationError(f"Service {path!r} is not there: no module of that name.")


def _document_output(reader: StepReader) -> tuple[str | None, dict[str, Any] | None]:
    """Return the ctx key and the JSON Schema of the output, each None where there is none."""
    inner = reader.inner("output") if reader.is_mapping("output") else None
    if inner is None:
        return reader.key("output"), None
    named = inner.key("name")  # an older word for the key
    key = inner.text("key", named or "", required=True)
    schema = inner.mapping("schema") or None
    inner.finish("an output")
    return key, schema


def _function(work: Any) -> Any:
    while isinstance(work, partial):
        work = work.func
    return work

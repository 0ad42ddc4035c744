"""Pure steps: they read and write ctx and touch nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, Unpack

from django_workflows.core.conditions import Condition, condition
from django_workflows.core.execution import ContinueResult, State, StepOutcome
from django_workflows.core.expressions import Reference, references, resolve
from django_workflows.core.steps.base import Run, Step, StepOptions
from django_workflows.core.steps.transforms import OPERATIONS, apply
from django_workflows.exceptions import NoRouteMatched

if TYPE_CHECKING:
    from django_workflows.core.document.steps import StepReader


class Start(Step):
    """Where a workflow begins. Its input was checked before anything was written; implicit."""

    type = "start"
    pure = True
    has_output = False

    @classmethod
    def from_document(cls, reader: StepReader) -> Self:
        """See Step.from_document(). The input is checked whatever ``validate_input`` says."""
        reader.boolean("validate_input", default=True)
        return cls(**reader.options())

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Go on."""
        return self.proceed(state)


class Assign(Step):
    """Set ctx keys from literals and references: ``Assign(total=F("price"), kind="new")``."""

    type = "assign"
    pure = True
    has_output = False

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        options: StepOptions | None = None,
        **variables: Any,
    ) -> None:
        """
        Take the variables as keywords, or as a mapping where a name is no identifier.

        ``next``, ``on_error``, ``name`` and ``description`` are options, not variables; a variable
        of such a name goes into the mapping.
        """
        given: StepOptions = options or {}
        for key in ("name", "next", "on_error", "description"):
            if key in variables:
                given = {**given, key: variables.pop(key)}  # type: ignore[misc]
        super().__init__(**given)
        self.values = {**(values or {}), **variables}
        self.in_turn = False  # documents: a value sees the variables set before it

    @classmethod
    def from_document(cls, reader: StepReader) -> Self:
        """See Step.from_document(). The variables are set in turn, each from those before it."""
        step = cls(reader.mapping("set"), options=reader.options())
        step.in_turn = True
        return step

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Set the keys, all from the state before the step unless ``in_turn``."""
        if self.in_turn:
            for name, value in self.values.items():
                state = state.with_ctx(**{name: resolve(value, state)})
            return self.proceed(state)
        return self.proceed(state.with_ctx(**resolve(self.values, state)))

    def references(self) -> Iterator[Reference]:
        """See Step.references()."""
        return references(self.values)

    def sets(self) -> Iterator[str]:
        """See Step.sets()."""
        yield from self.values

    def problems(self) -> Iterator[str]:
        """See Step.problems()."""
        if "_last_error" in self.values:
            yield "sets _last_error, which belongs to the engine"


@dataclass(frozen=True, slots=True)
class When:
    """One route of a router: where ``test``, a ``Q`` or a callable of the state, holds."""

    test: object
    then: str = field(kw_only=True)


class Router(Step):
    """Go on at the target of the first ``When`` that matches, else at ``default``."""

    type = "router"
    pure = True
    has_output = False
    chooses = True

    def __init__(
        self, *routes: When, default: str | None = None, **options: Unpack[StepOptions]
    ) -> None:
        super().__init__(**options)
        self.routes: list[tuple[Condition, str]] = [
            (condition(route.test), route.then) for route in routes
        ]
        self.default = default

    @classmethod
    def from_document(cls, reader: StepReader) -> Self:
        """See Step.from_document()."""
        routes = []
        for route in reader.readers("routes"):
            test = route.condition("when", required=True)
            routes.append(When(test, then=route.target("then")))
            route.finish("a route")
        return cls(*routes, default=reader.key("default"), **reader.options())

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Raise NoRouteMatched, with the values compared, where nothing matches."""
        for test, target in self.routes:
            if test.matches(state):
                return self.proceed(state, to=target)
        if self.default is None:
            raise NoRouteMatched(self.name, [test.explain(state) for test, _ in self.routes])
        return self.proceed(state, to=self.default)

    def targets(self) -> Iterator[str]:
        """See Step.targets()."""
        yield from (target for _, target in self.routes)
        if self.default is not None:
            yield self.default

    def references(self) -> Iterator[Reference]:
        """See Step.references()."""
        for test, _ in self.routes:
            yield from test.references()

    def problems(self) -> Iterator[str]:
        """See Step.problems()."""
        if not self.routes and self.default is None:
            yield "has neither a route nor a default"
        for test, _ in self.routes:
            yield from test.problems()


class Transform(Step):
    """
    Send data of ctx through a pipeline: ``Transform("orders", [("pluck", "total"), "sum"])``.

    ``source`` is a reference (``F``, ``"$name"`` or a bare name), ctx as a whole if left out; the
    operations are those of core.steps.transforms, each a name or a pair of name and argument.
    """

    type = "transform"
    pure = True

    def __init__(
        self,
        source: Any = None,
        operations: Sequence[str | tuple[str, Any]] | Mapping[str, Any] = (),
        **options: Unpack[StepOptions],
    ) -> None:
        super().__init__(**options)
        bare = isinstance(source, str) and not source.startswith("$")
        self.source = f"${source}" if bare else source
        pairs = operations.items() if isinstance(operations, Mapping) else operations
        self.operations: list[tuple[str, Any]] = [
            (pair, None) if isinstance(pair, str) else (pair[0], pair[1]) for pair in pairs
        ]

    @classmethod
    def from_document(cls, reader: StepReader) -> Self:
        """See Step.from_document(). ``input`` is a path without a dollar sign."""
        operations = reader.mapping("expression", required=True)
        for name in [name for name in operations if name not in OPERATIONS]:
            known = ", ".join(OPERATIONS)
            reader.problem(f"has the unknown operation {name!r}; known are {known}", "expression")
            del operations[name]
        options = reader.options(output=reader.key("output"))
        return cls(reader.key("input"), operations, **options)

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Raise StepError naming the operation whose data it does not fit."""
        value = dict(state.ctx) if self.source is None else resolve(self.source, state)
        for name, argument in self.operations:
            value = apply(name, value, argument)
        return self.proceed(state, value)

    def references(self) -> Iterator[Reference]:
        """See Step.references()."""
        return references(self.source)

    def problems(self) -> Iterator[str]:
        """See Step.problems()."""
        for name, _ in self.operations:
            if name not in OPERATIONS:
                yield f"has the unknown operation {name!r}; known are {', '.join(OPERATIONS)}"


class End(Step):
    """End the workflow with ``result``, or with the output of the last step that had one."""

    type = "end"
    pure = True
    terminal = True

    def __init__(self, *, result: Any = None, **options: Unpack[StepOptions]) -> None:
        options.setdefault("output", None)
        super().__init__(**options)
        self.result = result

    @classmethod
    def from_document(cls, reader: StepReader) -> Self:
        """See Step.from_document()."""
        return cls(result=reader.value("result"), **reader.options(output=None))

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Resolve the result."""
        has_output = self.result is not None
        result = ContinueResult(
            output=resolve(self.result, state), has_output=has_output, finish=True
        )
        return StepOutcome(state=state, result=result)

    def references(self) -> Iterator[Reference]:
        """See Step.references()."""
        return references(self.result)

"""What is wrong with definitions, and what is not."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial, wraps

import pytest
from django.db.models import F, Q

from django_workflows.core.definition import FINISHED, WorkflowDefinition, compile_graph
from django_workflows.core.steps import (
    Approval,
    Assign,
    Call,
    End,
    Halt,
    Loop,
    Parallel,
    Router,
    Sleep,
    Start,
    Step,
    SubWorkflow,
    Transform,
    When,
    goto,
    halt,
    step,
)
from django_workflows.core.validation import problems
from django_workflows.core.validation.gotos import named_targets, possible_targets
from django_workflows.core.workflow import Workflow, register, registry
from django_workflows.exceptions import DefinitionError
from tests.core.flows import define, flow

SCHEMA = {
    "type": "object",
    "properties": {
        "total": {"type": "number"},
        "lines": {"type": "array", "items": {"properties": {"sku": {"type": "string"}}}},
        "extra": {"type": "object"},
        "open": {"properties": {}, "additionalProperties": True},
        "closed": {"properties": {}, "additionalProperties": False},
        "either": {"anyOf": [{"type": "string"}, {"type": "object"}]},
        "any": True,
    },
}


def work():
    return 1


def found(workflow):
    """Return the problems as pairs of number and message."""
    return [
        (problem.id.removeprefix("workflows."), problem.message)
        for problem in problems(define(workflow))
    ]


def document(*steps, **fields):
    """Return what a document of the ``steps`` is compiled to: nothing follows by itself."""
    graph = compile_graph(steps, follow=False)
    options = {"name": "Document", "version": "1", "keeps_undeclared": True, **fields}
    return WorkflowDefinition(**{"id": "document", "graph": graph, **options})


def ids(definition):
    return [problem.id.removeprefix("workflows.") for problem in problems(definition)]


# One of each ------------------------------------------------------------------------------------

WRONG = {
    "no steps": (flow(), "E001", "it has no steps; give it at least one"),
    "empty version": (
        flow(it=Assign(a=1), version=" "),
        "E002",
        "its version is empty; give it one",
    ),
    "long version": (
        flow(it=Assign(a=1), version="1" * 51),
        "E002",
        f"its version '{'1' * 51}' has more than 50 characters; shorten it",
    ),
    "timeout of nothing": (
        flow(it=Assign(a=1), timeout=timedelta()),
        "E003",
        "its timeout must be positive, not 0:00:00",
    ),
    "timeout that no calendar has": (
        flow(it=Assign(a=1), timeout=timedelta(days=40_000)),
        "E003",
        "its timeout must be at most 100 years, not 40000 days, 0:00:00",
    ),
    "step's timeout that no calendar has": (
        flow(it=Approval("?", timeout=1e12)),
        "E014",
        "step 'it': timeout must be at most 100 years, not 1e+12 seconds",
    ),
    "reminder that no calendar has": (
        flow(it=Approval("?", remind_after=float("inf"))),
        "E014",
        "step 'it': remind_after must be at most 100 years, not inf seconds",
    ),
    "one name twice": (
        flow(each=Loop(over=[1], do=[Call(work), Call(work)])),
        "E004",
        "step 'each/work': two steps have this name; rename one of them",
    ),
    "long path": (
        flow(each=Loop(over=[1], do=Call(work, name="w" * 200))),
        "E005",
        f"step 'each/{'w' * 200}': has a path of more than 200 characters; shorten it",
    ),
    "name with a separator": (
        flow(each=Loop(over=[1], do=Call(work, name="a/b"))),
        "E005",
        "step 'each/a/b': 'a/b' may not contain '/', '[' or '#'; rename it",
    ),
    "branch with a separator": (
        flow(both=Parallel({"a#1": Call(work)})),
        "E005",
        "step 'both': 'a#1' may not contain '/', '[' or '#'; rename it",
    ),
    "step of a body that has the name of an end": (
        flow(each=Loop(over=[1], do=Call(work, name="break"))),
        "E005",
        "step 'each/break': 'break' stands for an end here; rename the step",
    ),
    "unknown next": (
        flow(begin=Assign(a=1, next="begni")),
        "E006",
        "step 'begin': next names 'begni', which is no step of the workflow; did you mean 'begin'?",
    ),
    "unknown on_error": (
        flow(it=Call(work, on_error="rescue")),
        "E006",
        "step 'it': on_error names 'rescue', which is no step of the workflow; there are: it",
    ),
    "unknown route": (
        flow(way=Router(When(Q(input__a=1), then="nowhere"), default="done"), done=End()),
        "E006",
        "step 'way': route names 'nowhere', which is no step of the workflow; there are: done, way",
    ),
    "unknown default": (
        flow(way=Router(default="nowhere")),
        "E006",
        "step 'way': default names 'nowhere', which is no step of the workflow; there are: way",
    ),
    "unknown on_reject": (
        flow(ask=Approval("?", on_reject="nowhere")),
        "E006",
        "step 'ask': on_reject names 'nowhere', which is no step of the workflow; there are: ask",
    ),
    "target outside of the body": (
        flow(each=Loop(over=[1], do=Call(work, next="done")), done=End()),
        "E006",
        "step 'each/work': next names 'done', which is no step inside of 'each'; there are: work",
    ),
    "break in a branch, where it ends no loop": (
        flow(
            each=Loop(over=[1], do=Parallel({"a": Call(work, next="break", name="x")}, name="both"))
        ),
        "E006",
        (
            "step 'each/both/a/x': next names 'break', which is no step inside of 'each/both';"
            " there are: x"
        ),
    ),
    "unreached step": (
        flow(done=End(), after=Assign(a=1)),
        "E007",
        "step 'after': no step leads to it; let one name it, or take it out",
    ),
    "step after a router": (
        flow(way=Router(default="done"), after=Assign(a=1), done=End()),
        "E007",
        "step 'after': no step leads to it; let one name it, or take it out",
    ),
    "circle": (
        flow(it=Assign(a=1), b=Assign(b=1), c=Sleep(1, next="b")),
        "E008",
        (
            "steps 'b', 'c' go round without end: none of them leaves the circle;"
            " let one of them go on to another step"
        ),
    ),
    "circle in a branch": (
        flow(both=Parallel(a=[Call(work, name="x"), Call(work, name="y", next="x")])),
        "E008",
        (
            "steps 'both/a/x', 'both/a/y' go round without end: none of them leaves the circle;"
            " let one of them go on to another step"
        ),
    ),
    "variable that nothing sets": (
        flow(validate=Call(work), done=End(result=F("validte__total"))),
        "E009",
        "step 'done': reads $validte.total, but no step sets 'validte'; did you mean 'validate'?",
    ),
    "variable that is set later": (
        flow(it=Assign(a="$b"), b=Call(work)),
        "E009",
        "step 'it': reads $b, but no step on a way to it sets 'b'",
    ),
    "variable of ctx that nothing sets": (
        flow(it=Assign(a="costs $ctx.b")),
        "E009",
        "step 'it': reads $ctx.b, but no step sets 'b'; there are: none",
    ),
    "output of the step that failed": (
        flow(it=Call(work, on_error="done"), end=End(), done=End(result=F("it"))),
        "E009",
        "step 'done': reads $it, but no step on a way to it sets 'it'",
    ),
    "item after its loop": (
        flow(each=Loop(over=[1], do=Call(work)), done=End(result=F("item"))),
        "E009",
        "step 'done': reads $item, but no step on a way to it sets 'item'",
    ),
    "what another branch sets": (
        flow(both=Parallel(a=Call(work, name="x"), b=Assign(y="$x", name="y"))),
        "E009",
        "step 'both/b/y': reads $x, but no step on a way to it sets 'x'",
    ),
    "end inside of a loop": (
        flow(each=Loop(over=[1], do=End(name="stop"))),
        "E013",
        "step 'each/stop': cannot end the workflow from inside of 'each'; use goto(\"break\")",
    ),
    "end inside of a branch": (
        flow(both=Parallel(a=End(name="stop"))),
        "E013",
        (
            "step 'both/a/stop': cannot end the workflow from inside of 'both';"
            " use next='__FINISHED__'"
        ),
    ),
    "option of a step": (
        flow(it=Call(work, timeout=0)),
        "E014",
        "step 'it': timeout must be positive, not 0",
    ),
    "option of a nested step": (
        flow(each=Loop(over=[1], do=Approval("?", required=0, name="ask"))),
        "E014",
        "step 'each/ask': required must be at least 1, not 0",
    ),
    "next of a router": (
        flow(way=Router(default="done", next="done"), done=End()),
        "E014",
        "step 'way': next='done' is never asked by a step of type 'router'; take it out",
    ),
    "next of an end": (
        flow(it=Call(work), done=End(next="it")),
        "E014",
        "step 'done': next='it' is never asked by a step of type 'end'; take it out",
    ),
    "error where there is none": (
        flow(
            it=Call(work, on_error="rescue"),
            end=End(),
            rescue=Assign(a="$_last_error.message"),
            after=Assign(b="$_last_error"),
        ),
        "E015",
        (
            "step 'after': reads $_last_error, which is there for the step alone that an on_error"
            " names"
        ),
    ),
}


@pytest.mark.parametrize(("workflow", "number", "message"), WRONG.values(), ids=WRONG.keys())
def test_problem(workflow, number, message):
    assert found(workflow) == [(number, message)]


@pytest.mark.parametrize("identifier", ["", "x" * 101])
def test_id_of_a_document_is_bounded(identifier):
    assert ids(document(Assign(a=1, name="it"), id=identifier)) == ["E002"]


def test_every_problem_is_in_one_message():
    class Broken(Workflow):
        it = Assign(a=F("missing"), next="nowhere")
        after = Call(work, timeout=-1)

    with pytest.raises(DefinitionError) as caught:
        register(Broken)

    assert len(caught.value.problems) == 4
    assert "broken" not in registry


def test_problem_is_told_once():
    assert len(found(flow(it=Assign(a=F("missing"), b=F("missing"))))) == 1


def test_steps_that_nothing_reaches_are_not_looked_into():
    workflow = flow(
        done=End(), each=Loop(over=[F("missing")], do=[Call(work, name="a", next="a")], next="each")
    )

    assert [number for number, _ in found(workflow)] == ["E007"]


# The input and the schemas ----------------------------------------------------------------------


@dataclass
class Order:
    order_id: int
    express: bool = False


@pytest.mark.parametrize(
    ("read", "message"),
    [
        ("$input.order_ids", "but the input has no 'order_ids'; did you mean 'order_id'?"),
        (F("input__zone__name"), "but the input has no 'zone'; there are: express, order_id"),
    ],
)
def test_field_that_the_input_does_not_have(read, message):
    [(number, sentence)] = found(flow(Input=Order, it=Assign(a=read)))

    assert number == "E010"
    assert sentence.endswith(message)


@pytest.mark.parametrize("read", ["$input", "$input.order_id", "$input.express.further"])
def test_field_that_the_input_has(read):
    assert found(flow(Input=Order, it=Assign(a=read))) == []


def test_any_field_of_an_undeclared_input():
    assert found(flow(it=Assign(a="$input.anything"))) == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("totl", "has no property 'totl'; there are: total, lines, extra, open, closed"),
        ("total.x", "says that it is of type number, which has no 'x'"),
        ("lines.first", "says that it is a list, which has positions and no 'first'"),
        ("lines.0.name", "has no property 'name'; there are: sku"),
        ("lines.0.sku.x", "says that it is of type string, which has no 'x'"),
        ("closed.x", "has no property 'x'; there are: none"),
    ],
)
@pytest.mark.parametrize("root", ["$validate.", "$ctx.validate."])
def test_path_that_the_schema_rules_out(path, reason, root):
    workflow = flow(validate=Call(work, output_schema=SCHEMA), it=Assign(a=root + path))

    [(number, message)] = found(workflow)

    assert number == "E011"
    assert f"reads {root}{path}, but the output_schema of 'validate' {reason}" in message


@pytest.mark.parametrize(
    "path",
    ["", ".total", ".lines.0.sku", ".extra.x", ".open.x", ".either.x", ".any.x"],
)
def test_path_that_the_schema_allows(path):
    workflow = flow(validate=Call(work, output_schema=SCHEMA), it=Assign(a=f"$validate{path}"))

    assert found(workflow) == []


@pytest.mark.parametrize(
    "other",
    [
        Call(work, output="validate"),
        Loop(over=[1], as_="validate", do=Call(work)),
        Assign(validate=1),
    ],
)
def test_path_into_what_another_step_may_have_set(other):
    workflow = flow(
        validate=Call(work, output_schema=SCHEMA), other=other, it=Assign(a="$validate.totl")
    )

    assert [number for number, _ in found(workflow)] in ([], ["E009"])
    assert "E011" not in dict(found(workflow))


# Compensations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "undo", [Call(work), Assign(a=1), Transform("charge"), step(lambda self, state: None)]
)
def test_compensation_may_be(undo):
    workflow = flow(charge=Call(work, compensate="undo"), done=End(), undo=undo)

    assert found(workflow) == []


@pytest.mark.parametrize(
    "undo",
    [
        Approval("?"),
        Halt(),
        Sleep(1),
        SubWorkflow("other"),
        Loop(over=[1], do=Call(work)),
        Parallel(a=Call(work)),
        Router(default="done"),
        End(),
    ],
)
def test_compensation_may_not_be(undo):
    workflow = flow(charge=Call(work, compensate="undo"), done=End(), undo=undo)

    [(number, message)] = found(workflow)

    assert number == "E012"
    assert message.startswith(
        f"step 'charge': compensate names 'undo', and a step of type {undo.type!r} cannot undo"
    )


def test_compensation_has_to_be_there():
    assert found(flow(charge=Call(work, compensate="refund"))) == [
        (
            "E012",
            (
                "step 'charge': compensate names 'refund', which is no step of the workflow;"
                " there are: charge"
            ),
        )
    ]


def test_compensation_stands_at_the_top():
    body = [Call(work, name="pay", compensate="refund"), Call(work, name="refund")]

    assert [number for number, _ in found(flow(each=Loop(over=[1], do=body)))] == ["E012"]


def test_compensation_reads_whatever_was_set_and_what_follows_it_counts_as_reached():
    body = Call(work, name="pay", compensate="refund")
    workflow = flow(
        each=Loop(over=[1], do=body),
        later=Call(work),
        done=End(),
        refund=Assign(a=F("pay"), b=F("item"), c=F("later")),
        told=Assign(d=F("a")),
    )

    assert found(workflow) == []


# No false alarms --------------------------------------------------------------------------------

RIGHT = {
    "set on one of two ways": flow(
        way=Router(When(Q(input__a=1), then="a"), default="done"),
        a=Call(work),
        done=End(result=F("a")),
    ),
    "set in the round before": flow(
        each=Loop(over=[1], do=[Assign(a=F("sum"), name="a"), Call(work, name="sum")])
    ),
    "set on the way back": flow(
        it=Assign(a=F("b")),
        way=Router(When(Q(input__a=1), then="done"), default="b"),
        b=Call(work, next="it"),
        done=End(),
    ),
    "names of a loop": flow(
        each=Loop(
            over=[[1]],
            do=Loop(over=F("item"), as_="x", index_as="n", name="in", do=Assign(a="$item $x $n")),
        )
    ),
    "condition on what the body sets": flow(
        each=Loop(while_=~Q(got=3) & Q(iteration__lt=5), do=Call(work, name="got"))
    ),
    "what nested steps set": flow(
        both=Parallel(a=Assign(x=1), b=Call(work, name="y")), it=Assign(z="$x $y $both.a")
    ),
    "what nested steps set before the failure": flow(
        each=Loop(over=[1], do=Assign(a=1), on_error="rescue"), end=End(), rescue=Assign(b=F("a"))
    ),
    "error inside of a loop that on_error names": flow(
        it=Call(work, on_error="rescue"),
        end=End(),
        rescue=Loop(over=[1], do=[Assign(a="$_last_error.step"), Assign(b="$_last_error")]),
    ),
    "break and continue": flow(
        each=Loop(
            over=[1],
            do=[
                Router(When(Q(item=1), then="break"), default="continue", name="way"),
            ],
        )
    ),
    "end of a scope": flow(
        both=Parallel(a=Call(work, name="x", next=FINISHED)), it=Call(work, next=FINISHED)
    ),
    "roots": flow(it=Assign(a="$input $now $history $ctx", b=F("ctx"))),
    "circle that an error leaves": flow(
        it=Call(work, on_error="done"), again=Sleep(1, next="it"), done=End()
    ),
    "circle that a rejection leaves": flow(
        ask=Approval("?", on_reject="done"), again=Sleep(1, next="ask"), done=End()
    ),
    "start": flow(begin=Start(), it=Call(work)),
    "resumed elsewhere": flow(stop=Halt(resume_step="after"), end=End(), after=Assign(a=F("stop"))),
}


@pytest.mark.parametrize("workflow", RIGHT.values(), ids=RIGHT.keys())
def test_no_problem(workflow):
    assert found(workflow) == []


class Custom(Step):
    """A kind of an author's own, with an option of a name that nobody knows."""

    def __init__(self, elsewhere, **options):
        super().__init__(**options)
        self.elsewhere = elsewhere

    def execute(self, state, run):
        return self.proceed(state, to=self.elsewhere)

    def targets(self):
        yield self.elsewhere


def test_targets_of_an_authors_own_kind_count():
    assert found(flow(it=Custom("done"), end=End(), done=End())) == []
    assert found(flow(it=Custom("nowhere")))[0][0] == "E006"


# Documents --------------------------------------------------------------------------------------


def test_document_reads_null_where_another_way_sets_it():
    assert ids(document(Assign(a=F("b"), name="it", next="b"), Call(work, name="b"))) == []


def test_document_reads_the_error_wherever_it_likes():
    steps = [
        Call(work, name="it", on_error="rescue"),
        Call(work, name="rescue", next="after"),
        Assign(a="$_last_error.message", name="after"),
    ]

    assert ids(document(*steps)) == []


@pytest.mark.parametrize("name", ["_last_error", "missing"])
def test_document_reads_what_no_step_sets_anywhere(name):
    number = "E015" if name == "_last_error" else "E009"

    assert ids(document(Assign(a=F(name), name="it"))) == [number]


def test_document_may_say_where_a_router_goes_next():
    steps = [Router(default="done", next="done", name="way"), End(name="done")]

    assert ids(document(*steps)) == []


# goto() -----------------------------------------------------------------------------------------

REFUSE = "refuse"
TABLE = {"bad": ["refuse"]}


class Target(StrEnum):
    REFUSE = "refuse"


def go_refuse():
    return goto("refuse")


def passing(function):
    @wraps(function)
    def inner(*args):
        return function(*args)

    return inner


class Service:
    target = "refuse"

    def __call__(self):
        return goto("refuse")

    def method(self):
        return goto(self.target)

    @staticmethod
    def static():
        return goto("refuse")


def by_default(target="refuse"):
    return goto(target)


def by_keyword(*, target="refuse"):
    return goto(target)


def by_closure():
    target = "refuse"

    def inner():
        return goto(target)

    return inner


def by_empty_closure():
    def inner():
        return goto(later), goto("refuse")

    if inner is None:
        later = 1
    return inner


def by_itself(again=True):
    return by_itself(False) if again else goto("refuse")


GOTOS = {
    "a text": lambda: goto("refuse"),
    "one of two": lambda: goto("it" if work() else "refuse"),
    "an inner function": lambda: sorted("a", key=lambda _: goto("refuse")),
    "a global": lambda: goto(REFUSE),
    "a table": lambda: goto(TABLE["bad"][0]),
    "an enum": lambda: goto(Target.REFUSE),
    "a helper": lambda: go_refuse() or None,
    "a recursion": by_itself,
    "a default": by_default,
    "a keyword default": by_keyword,
    "a closure": by_closure(),
    "a closure not filled": by_empty_closure(),
    "a wrapped function": passing(go_refuse),
    "a partial": partial(go_refuse),
    "an object": Service(),
    "a bound method": Service().method,
    "a static method": Service.static,
    "halt": lambda: halt("?", resume_step="refuse"),
}


@pytest.mark.parametrize("service", GOTOS.values(), ids=GOTOS.keys())
def test_step_that_code_goes_to_is_reached(service):
    workflow = flow(it=Call(service, name="it"), end=End(), refuse=Assign(a=F("it")))

    assert found(workflow) == []


def test_step_that_a_method_goes_to_is_reached():
    class Order(Workflow):
        elsewhere = "c"

        @step
        def it(self, state):
            return self.decide(state)

        end = End()
        a = End()
        b = End()
        c = End()

        def decide(self, state):
            if state.input:
                return self.fall_back()
            return goto(self.elsewhere) if state.ctx else goto("a")

        @staticmethod
        def fall_back():
            return goto("b")

    assert found(Order) == []


@pytest.mark.parametrize(
    "call",
    [
        Call(goto, input={"step": "refuse"}, name="it"),
        Call(partial(goto, "refuse"), name="it"),
        Call(partial(partial(goto, step="refuse"), output=1), name="it"),
    ],
)
def test_step_that_code_is_told_to_go_to_is_reached(call):
    assert found(flow(it=call, end=End(), refuse=Assign(a=F("it")))) == []


@pytest.mark.parametrize("service", [len, print, int], ids=["builtin", "function", "class"])
def test_code_that_cannot_be_read_goes_nowhere(service):
    assert possible_targets(Call(service).compiled("it"), ["refuse"]) == []


def test_steps_without_code_go_nowhere():
    assert possible_targets(Assign(a="refuse"), ["refuse"]) == []


@pytest.mark.parametrize(
    ("service", "targets"),
    [
        (GOTOS["a text"], ["refuse"]),
        (GOTOS["one of two"], []),  # the call in between hides them
        (lambda flag: goto("a" if flag else "b"), ["a", "b"]),
        (lambda state: goto("a", output=state.ctx["b"]), ["a"]),
        (lambda state: goto(output=1, step="a"), ["a"]),
        (lambda state: goto(state.ctx["to"]), []),
        (lambda state: goto("a" if state.ctx["b"] == "c" else "d"), ["a", "d"]),
        (lambda state: state.ctx["a"], []),
        (lambda: "goto", []),
        (lambda: goto, []),
    ],
)
def test_targets_that_stand_in_goto(service, targets):
    assert named_targets(Call(service).compiled("it")) == targets

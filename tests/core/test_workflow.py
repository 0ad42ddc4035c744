import sys
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

import pytest
from django.db.models import F

from django_workflows.core import codec, workflow
from django_workflows.core.execution import Execution, ExecutionResult
from django_workflows.core.steps import Assign, Call, End, Loop, Parallel, step
from django_workflows.core.workflow import (
    Workflow,
    compile_workflow,
    install,
    register,
    registry,
    snake_case,
)
from django_workflows.exceptions import ConfigurationError, DefinitionError
from tests.core.flows import engine_of, run


@pytest.fixture(autouse=True)
def _registered():
    """Take out of the registry what the test has put in."""
    before = set(registry)
    yield
    for name in set(registry) - before:
        registry.remove(name)


@pytest.fixture
def hooks():
    class Hooks:
        def start(self, workflow, input):
            return ("started", workflow, input)

        def run(self, workflow, input):
            return ("ran", workflow, input)

    before = list(workflow._installed)
    install(Hooks())
    yield
    workflow._installed[:] = before


# Registering ------------------------------------------------------------------------------------


def test_registered_workflow_has_its_definition():
    @register
    class ShipOneOrder(Workflow):
        """Ship one order."""

        version = "2"
        timeout = timedelta(days=7)

        @dataclass
        class Input:
            order_id: int

        done = End()

    definition = registry["ship_one_order"]
    assert ShipOneOrder.definition is definition
    assert (definition.id, definition.name) == ("ship_one_order", "ShipOneOrder")
    assert (definition.version, definition.timeout) == ("2", timedelta(days=7))
    assert definition.description == "Ship one order."
    assert definition.input.names() == {"order_id"}
    assert definition.workflow is ShipOneOrder
    assert "test_workflow.py:" in definition.source


def test_id_and_name_of_its_own():
    @register
    class Anything(Workflow):
        id = "test.own"
        name = "Own name"
        done = End()

    assert registry["test.own"].name == "Own name"
    assert registry["test.own"].description == ""


def test_subclass_does_not_take_the_id_of_its_base():
    @register
    class Base(Workflow):
        done = End()

    @register
    class Special(Base):
        pass

    assert (Base.id, Special.id) == ("base", "special")
    assert Special.definition.description == ""


def test_id_that_is_taken_is_refused_and_stays_with_the_first():
    @register
    class First(Workflow):
        id = "test_taken"
        done = End()

    with pytest.raises(ConfigurationError, match=r"'test_taken' is taken by .*test_workflow.py:"):

        @register
        class Second(Workflow):
            id = "test_taken"
            done = End()

    assert registry["test_taken"] is First.definition


def test_module_that_is_loaded_again_takes_over():
    def load():
        @register
        class TestLoaded(Workflow):
            done = End()

        return TestLoaded

    load()
    second = load()

    assert registry["test_loaded"] is second.definition


def test_invalid_workflow_is_told_with_every_problem_and_not_registered():
    with pytest.raises(DefinitionError) as caught:

        @register
        class TestInvalid(Workflow):
            first = Call(lambda: 1, next="nowhere", timeout=0)

    assert len(caught.value.problems) == 2
    assert "nowhere" in str(caught.value)
    assert "test_invalid" not in registry


@pytest.mark.parametrize("name", ["start", "run", "version", "id", "name", "timeout", "Input"])
def test_step_that_would_hide_an_attribute_is_refused(name):
    hiding = type("Hiding", (Workflow,), {name: End()})
    if name == "id":
        hiding.id = End()

    with pytest.raises(DefinitionError, match=f"step '{name}' would hide Workflow.{name}"):
        compile_workflow(hiding)


def test_input_that_cannot_be_read_is_refused_when_registered():
    with pytest.raises(ConfigurationError, match=r"Input .*Input"):

        @register
        class TestOdd(Workflow):
            @dataclass
            class Input:
                thing: object()

            done = End()

    assert "test_odd" not in registry


# Steps of the class body ------------------------------------------------------------------------


def test_steps_come_in_the_order_of_the_class_body_without_those_that_others_hold():
    class Order(Workflow):
        inner = Call(lambda: 1)
        other = Call(lambda: 2)
        deep = Call(lambda: 3)
        each = Loop(over=[1], do=[inner, Parallel(a=deep, name="both")])
        done = End()

    definition = compile_workflow(Order)

    assert [path for path, _, _ in definition.graph.walk()] == [
        "other",
        "each",
        "each/inner",
        "each/both",
        "each/both/a/deep",
        "done",
    ]


def test_subclass_changes_adds_and_drops_steps():
    class Base(Workflow):
        a = Assign(x=1)
        b = Assign(y=1)
        c = End(result=F("ctx"))

    class Special(Base):
        a = Assign(x=2)
        b = None
        d = Assign(z=1)

    assert list(compile_workflow(Base).graph.steps) == ["a", "b", "c"]
    assert list(compile_workflow(Special).graph.steps) == ["a", "c", "d"]
    assert run(Special).output == {"x": 2}


def test_step_shared_by_two_classes_has_a_name_in_each():
    shared = Call(lambda: 7)

    class One(Workflow):
        first = shared

    class Two(Workflow):
        second = shared

    assert list(compile_workflow(One).graph.steps) == ["first"]
    assert list(compile_workflow(Two).graph.steps) == ["second"]
    assert engine_of(Two).run().output == 7


def test_methods_in_nested_steps_are_bound_too():
    class Bound(Workflow):
        factor = 3

        @step
        def times(self, state):
            return state.ctx["item"] * self.factor

        @step
        def plain(self):
            return self.factor

        each = Loop(over=[1, 2], do=times)
        both = Parallel(a=plain)
        done = End(result=[F("each"), F("both")])

    assert run(Bound).output == [[3, 6], {"a": 3}]


# Enums ------------------------------------------------------------------------------------------


class Nested(Enum):
    X = 1


def storable(member):
    return codec.decode(codec.encode(member)) is member


def test_enums_of_the_module_and_of_closures_can_be_stored():
    class Hidden(Enum):
        A = 1

    class Holder:
        class Inner(Enum):
            B = 1

    @register
    class TestEnums(Workflow):
        @step
        def give(self):
            return [Hidden.A, Holder.Inner.B, Nested.X]

    assert all(map(storable, [Hidden.A, Holder.Inner.B, Nested.X]))
    assert engine_of(TestEnums).run().output == [Hidden.A, Holder.Inner.B, Nested.X]


def test_step_may_speak_of_its_own_class():
    @register
    class TestItself(Workflow):
        answer = 42

        @step
        def give(self):
            return TestItself.answer

    assert run(TestItself).output == 42


def test_workflow_of_no_module_can_be_registered():
    made = type("TestMade", (Workflow,), {"__module__": "nowhere_at_all", "done": End()})

    assert "nowhere_at_all" not in sys.modules
    assert register(made) is made


# Starting ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hooks")
def test_start_and_run_reach_the_hooks():
    class Order(Workflow):
        done = End()

    assert Order.start(order_id=7) == ("started", Order, {"order_id": 7})
    assert Order.run(order_id=7) == ("ran", Order, {"order_id": 7})


@pytest.mark.usefixtures("hooks")
def test_start_before_the_package_is_imported_says_what_to_do():
    workflow._installed.clear()

    with pytest.raises(ConfigurationError, match="Import django_workflows before"):
        Workflow.start()


@pytest.mark.usefixtures("hooks")
def test_last_hooks_are_those_that_count():
    class Others:
        def start(self, workflow, input):
            return Execution(workflow_id="x")

        def run(self, workflow, input):
            return ExecutionResult(status="completed", execution_id="x")

    install(Others())

    assert Workflow.start().workflow_id == "x"


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("OrderFulfilment", "order_fulfilment"),
        ("Order", "order"),
        ("HTTPServer", "http_server"),
        ("SendHTTP2Request", "send_http2_request"),
        ("already_snake", "already_snake"),
        ("A", "a"),
    ],
)
def test_snake_case(name, snake):
    assert snake_case(name) == snake


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), 1e300])
def test_timeout_that_no_clock_counts_is_a_problem(timeout):
    workflow = type("Timed", (Workflow,), {"timeout": timeout, "work": Call(print)})

    with pytest.raises(DefinitionError, match="timeout"):
        register(workflow)


@pytest.mark.parametrize("timeout", [90, 90.0, timedelta(seconds=90)])
def test_timeout_is_given_in_seconds_or_as_a_timedelta(timeout):
    workflow = type("Timed", (Workflow,), {"timeout": timeout, "work": Call(print)})

    assert compile_workflow(workflow).timeout == timedelta(seconds=90)


def test_timeout_of_another_kind_is_a_problem():
    workflow = type("Timed", (Workflow,), {"timeout": "1h", "work": Call(print)})

    with pytest.raises(DefinitionError, match="must be seconds or a timedelta: '1h'"):
        register(workflow)

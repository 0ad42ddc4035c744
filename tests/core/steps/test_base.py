"""Step kinds of one's own."""

import pytest
from django.db.models import F

from django_workflows.core.execution import ContinueResult, HaltResult, StepOutcome
from django_workflows.core.steps import Assign, Call, End, Step, step_types
from django_workflows.exceptions import ConfigurationError
from tests.core.flows import engine_of, flow, run


class Shout(Step):
    """A kind without a type: for Python only."""

    def __init__(self, text, **options):
        super().__init__(**options)
        self.text = text

    def execute(self, state, run):
        run.note({"text": self.text})
        return self.proceed(state.with_ctx(quiet=self.text), self.text.upper())


@pytest.fixture
def kind():
    """A kind of its own type, for as long as the test lasts."""

    class Ask(Step):
        type = "test_ask"

        def execute(self, state, run):
            if run.answer is None:
                return self.stop(state, HaltResult(data={"at": run.now}, prompt="?"))
            return self.proceed(state, run.answer.response, to="end")

    yield Ask
    step_types.remove("test_ask")


def test_own_kind_has_output_and_variables():
    engine = engine_of(flow(it=Shout("hey"), done=End(result=F("ctx"))))

    result = engine.run()

    assert result.output == {"quiet": "hey", "it": "HEY"}
    assert engine.store.entries(result.execution_id)[0].input == {"text": "hey"}


def test_own_kind_may_halt_and_go_elsewhere(kind):
    engine = engine_of(flow(it=kind(), never=End(), end=End(result=F("it"))))

    halted = engine.run()

    assert engine.resume(halted.execution_id, response=7).output == 7


def test_own_kind_is_known_by_its_type(kind):
    assert step_types["test_ask"] is kind


def test_type_that_is_taken_is_refused():
    with pytest.raises(ConfigurationError, match="step type 'assign' is taken"):
        type("Assign", (Step,), {"type": "assign", "__module__": "elsewhere"})

    assert step_types["assign"] is Assign


def test_kind_that_is_loaded_again_takes_over():
    again = type("Assign", (Assign,), {"type": "assign", "__module__": Assign.__module__})

    assert step_types["assign"] is again
    step_types.add("assign", Assign, same=lambda old, new: True)


def test_subclass_without_a_type_of_its_own_takes_no_name():
    before = len(step_types)

    class Mine(Assign):
        pass

    assert Mine.type == "assign"
    assert (len(step_types), step_types["assign"]) == (before, Assign)


def test_unknown_type_lists_those_that_are_known():
    with pytest.raises(ConfigurationError, match=r"type 'nope' is known. Known are: .*call"):
        step_types["nope"]


@pytest.mark.parametrize("returned", [None, "text", {"a": 1}, ContinueResult(output=1)])
def test_kind_that_returns_nonsense_fails(returned):
    class Odd(Step):
        def execute(self, state, run):
            return returned

    result = run(Odd())

    assert result.error == (
        f"StepError: Step 'it' returned {returned!r}; execute() must return a StepOutcome."
    )


def test_outcome_without_a_known_result_is_nonsense_too():
    class Odd(Step):
        def execute(self, state, run):
            return StepOutcome(state=state, result="go on")

    assert "must return a StepOutcome" in run(Odd()).error


def test_variable_that_cannot_be_kept_names_its_place():
    class Odd(Step):
        def execute(self, state, run):
            return self.proceed(state.with_ctx(x=[1, object()]))

    assert "Step 'it' cannot keep its x[1]: object cannot be stored" in run(Odd()).error


def test_variables_pass_through_the_codec_once():
    given = [1]

    class Odd(Step):
        has_output = False

        def execute(self, state, run):
            return self.proceed(state.with_ctx(list=given))

    def change():
        given.append(2)

    workflow = flow(it=Odd(), change=Call(change), done=End(result=F("list")))

    assert run(workflow).output == [1]


def test_option_that_no_kind_has_is_refused():
    with pytest.raises(TypeError, match="End has no option colour"):
        End(colour="red")


def test_plain_kind_holds_and_reads_nothing():
    step = Shout("x", name="it", description="Shouts.")

    assert list(step.targets()) == list(step.references()) == list(step.problems()) == []
    assert list(step.children()) == list(step.scope_sets()) == list(step.workflows()) == []
    assert (step.scopes(), step.suggested_name(), step.description) == ({}, "", "Shouts.")
    assert step.bound(object()) is step
    assert repr(step) == "<Shout 'it'>"


def test_step_keeps_the_first_name_it_was_given():
    step = Shout("x", name="own")

    workflow = flow(other=step)

    assert step.name == "own"
    assert run(workflow).output == "X"

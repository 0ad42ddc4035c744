"""Halts, as a step and from a method."""

from datetime import UTC, datetime

import pytest
from django.db.models import F

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import (
    Call,
    End,
    Halt,
    halt,
)
from django_workflows.exceptions import PayloadError
from tests.core.flows import engine_of, flow, history, run

CTX = End(result=F("ctx"))


# Halt -------------------------------------------------------------------------------------------


def test_halt_stops_with_reason_and_data():
    engine = engine_of(
        flow(it=Halt("Order $input.id waits", data={"n": F("input__id")}), after=CTX)
    )

    result = engine.run({"id": 7})

    execution = engine.store.load(result.execution_id)
    assert result.status == ExecutionStatus.HALTED
    assert result.halt.data == {"reason": "Order 7 waits", "n": 7}
    assert result.halt.prompt == "Order 7 waits"
    assert (execution.recover_to, execution.halt_data) == ("it", result.halt.data)
    assert (execution.lease_owner, execution.lease_expires_at) == (None, None)
    assert history(engine, result.execution_id, "halted") == ["it"]


@pytest.mark.parametrize("response", [{"a": [1]}, None, False, datetime(2026, 1, 31, tzinfo=UTC)])
def test_response_is_the_output_of_the_halt(response):
    engine = engine_of(flow(it=Halt(), after=CTX))

    halted = engine.run()
    result = engine.resume(halted.execution_id, response=response)

    assert result.output == {"it": response}
    assert engine.store.load(result.execution_id).halt_data is None


def test_halt_goes_on_at_its_resume_step():
    step = Halt(resume_step="there")
    engine = engine_of(flow(it=step, here=End(result="here"), there=End(result="there")))

    halted = engine.run()

    assert engine.resume(halted.execution_id).output == "there"
    assert list(step.targets()) == ["there"]
    assert list(Halt().targets()) == []


def test_halt_that_is_visited_again_stops_again():
    engine = engine_of(flow(it=Halt(), other=Halt(next="it")))

    first = engine.run()
    second = engine.resume(first.execution_id)
    third = engine.resume(first.execution_id)

    assert [wait.step for result in (first, second, third) for wait in result.waits] == [
        "it",
        "other",
        "it#2",
    ]


def test_response_that_cannot_be_kept_is_refused_and_nothing_is_written():
    engine = engine_of(flow(it=Halt()))
    halted = engine.run()

    with pytest.raises(PayloadError, match="object cannot be stored"):
        engine.resume(halted.execution_id, response={"x": object()})

    assert engine.result(halted.execution_id) == halted


def test_halt_says_what_it_reads():
    assert [str(ref) for ref in Halt("$a", data={"x": F("b")}).references()] == ["$a", "$b"]


# halt() from a method ---------------------------------------------------------------------------


def test_method_may_halt_with_data():
    engine = engine_of(flow(it=Call(lambda: halt("Why?", n=1)), after=CTX))

    halted = engine.run()
    result = engine.resume(halted.execution_id, response="because")

    assert halted.halt.data == {"reason": "Why?", "n": 1}
    assert halted.halt.prompt == "Why?"
    assert result.output == {"it": "because"}


def test_method_is_not_run_again_by_the_answer():
    calls = []
    engine = engine_of(Call(lambda: calls.append(1) or halt("Why?")))

    engine.resume(engine.run().execution_id)

    assert calls == [1]


def test_method_may_say_where_to_go_on():
    engine = engine_of(
        flow(
            it=Call(lambda: halt("Why?", resume_step="there")),
            here=End(result="here"),
            there=End(result="there"),
        )
    )

    halted = engine.run()

    assert engine.store.load(halted.execution_id).recover_to == "there"
    assert engine.resume(halted.execution_id).output == "there"


def test_method_that_would_go_on_nowhere_fails_at_once():
    result = run(flow(it=Call(lambda: halt("Why?", resume_step="nowhere")), after=CTX))

    assert result.error == (
        "StepError: There is no step 'nowhere' to go to here; there are: it, after."
    )


def test_halt_data_that_cannot_be_kept_names_its_place():
    result = run(Call(lambda: halt("Why?", deep=[object()])))

    assert "Step 'it' cannot keep its halt data.deep[0]: object cannot be stored" in result.error


def test_atomic_step_may_halt(store):
    def work(state):
        store.remember_graph("written", "1", {})
        return halt("Why?")

    engine = engine_of(Call(work, atomic=True), store=store)

    halted = engine.run()

    assert store.graph("written", "1") == {}
    assert engine.resume(halted.execution_id, response=5).output == 5

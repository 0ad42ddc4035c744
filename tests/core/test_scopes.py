"""What holds between a scope and the one around it: break, on_error within on_error, answers."""

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import Call, Loop, Parallel, goto, halt
from tests.core.flows import engine_of, flow, run


def divide():
    return 1 / 0


def one():
    return 1


def last_error(state):
    return state.ctx.get("_last_error")


def test_break_outside_of_a_loop_is_an_error():
    result = run(flow(leave=Call(lambda: goto("break")), after=Call(one)))

    assert result.status == ExecutionStatus.FAILED
    assert "no step 'break' to go to here" in result.error


def test_break_in_a_branch_is_an_error():
    branches = {"left": [Call(lambda: goto("break"), name="leave")], "right": [Call(one)]}

    result = run(flow(both=Parallel(branches)))

    assert result.status == ExecutionStatus.FAILED


def test_response_to_a_halt_is_checked_against_the_output_schema():
    engine = engine_of(Call(lambda: halt("well?"), output_schema={"type": "object"}))
    halted = engine.run()

    result = engine.resume(halted.execution_id, response="no object")

    assert result.status == ExecutionStatus.FAILED
    assert "breaks its schema" in result.error


def test_one_exception_object_raised_twice_names_the_step_it_came_from():
    error = ValueError("always the same")

    def fail():
        raise error

    workflow = flow(
        first=Call(fail, on_error="second"),
        second=Call(fail, on_error="told"),
        told=Call(lambda state: last_error(state)["step"]),
    )

    assert run(workflow).output == "second"


def test_error_of_a_rescue_loop_stays_while_it_runs():
    rescue = [
        Call(divide, name="inner", on_error="handle"),
        Call(lambda state: last_error(state)["step"], name="handle"),
        Call(lambda state: last_error(state)["step"], name="outer"),
    ]
    workflow = flow(bad=Call(divide, on_error="rescue"), rescue=Loop(over=[1, 2], do=rescue))

    result = run(workflow)

    assert result.output == ["bad", "bad"]


def test_error_of_a_rescue_loop_stays_when_a_handled_one_ends_its_round():
    rescue = [
        Call(lambda state: last_error(state)["step"], name="outer"),
        Call(divide, name="inner", on_error="continue"),
    ]
    workflow = flow(
        bad=Call(divide, on_error="rescue"),
        rescue=Loop(over=[1, 2], do=rescue),
        after=Call(last_error),
    )

    result = run(workflow)

    assert result.status == ExecutionStatus.COMPLETED
    assert result.output is None


def test_second_error_in_a_row_replaces_the_first_and_goes_as_it_does():
    workflow = flow(
        bad=Call(divide, on_error="worse"),
        worse=Call(divide, on_error="told"),
        told=Call(lambda state: last_error(state)["step"]),
        after=Call(lambda state: [state.ctx["told"], last_error(state)]),
    )

    assert run(workflow).output == ["worse", None]

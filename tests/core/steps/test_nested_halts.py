"""Loops that halt, crash or fail go on in the round they had reached."""

from django.db.models import F, Q

from django_workflows.core.steps import Call, End, Halt, Loop, WaitForEvent, goto, halt
from django_workflows.core.waits import InboxEvent
from tests.core.flows import Crash, crashed, engine_of, flow, run


def test_halt_in_a_round_is_resumed_in_that_round():
    done = []
    workflow = flow(
        each=Loop(
            over=["a", "b"],
            do=[
                Call(lambda state: done.append(state.ctx["item"]), name="before", output=None),
                Halt("$item?", name="ask"),
                Call(lambda state: f"{state.ctx['item']}:{state.ctx['ask']}", name="after"),
            ],
        )
    )
    engine = engine_of(workflow)

    first = engine.run()
    second = engine.resume(first.execution_id, response=1)
    third = engine.resume(first.execution_id, response=2, step="each[1]/ask")

    assert [first.halt.prompt, second.halt.prompt] == ["a?", "b?"]
    assert third.output == ["a:1", "b:2"]
    assert done == ["a", "b"]


def test_method_may_halt_in_a_round_and_go_on_at_its_resume_step():
    workflow = flow(
        each=Loop(
            over=[1, 2],
            do=[
                Call(lambda: halt("?", resume_step="c"), name="a"),
                Call(lambda: "b", name="b"),
                Call(lambda state: state.ctx["a"], name="c"),
            ],
        )
    )
    engine = engine_of(workflow)

    halted = engine.run()
    engine.resume(halted.execution_id, response="x")
    result = engine.resume(halted.execution_id, response="y")

    assert result.output == ["x", "y"]


def test_event_in_a_round_that_came_first_is_taken_at_once(store):
    for sku in ("a", "b"):
        store.add_event(InboxEvent(name="packed", key=sku, data=f"{sku} packed"))
    workflow = flow(each=Loop(over=["a", "b"], do=WaitForEvent("packed", key=F("item"), name="w")))

    assert run(workflow, store=store).output == ["a packed", "b packed"]


def test_crash_in_a_round_goes_on_in_that_round(recovered):
    done = []
    crash = [Crash()]

    def work(state):
        done.append(state.ctx["item"])
        if state.ctx["item"] == "b" and crash:
            raise crash.pop()
        return state.ctx["item"]

    engine = engine_of(
        flow(each=Loop(over=F("input__list"), do=Call(work, name="w"), max=5), done=End())
    )

    execution_id = crashed(engine, {"list": ["a", "b", "c"]})
    result = recovered(engine, execution_id)

    assert done == ["a", "b", "b", "c"]
    assert result.output == ["a", "b", "c"]


def test_crash_in_a_while_loop_goes_on_in_the_iteration_it_had_reached(recovered):
    done = []
    crash = [Crash()]

    def work(state):
        done.append(state.ctx["iteration"])
        if len(done) == 2 and crash:
            raise crash.pop()
        return goto("break") if state.ctx["iteration"] == 3 else None

    engine = engine_of(Loop(while_=Q(), do=Call(work, name="w")))

    execution_id = crashed(engine)
    recovered(engine, execution_id)

    assert done == [1, 2, 2, 3]


def test_crash_between_two_steps_of_a_round_does_not_run_the_first_again(recovered):
    done = []
    crash = [Crash()]

    def second(state):
        if crash:
            raise crash.pop()
        return [state.ctx["first"], state.ctx["item"], state.ctx["index"]]

    workflow = flow(
        each=Loop(
            over=["a"],
            do=[
                Call(lambda: done.append(1) or "kept", name="first"),
                Call(second, name="second"),
            ],
        )
    )
    engine = engine_of(workflow)

    execution_id = crashed(engine)
    result = recovered(engine, execution_id)

    assert (done, result.output) == ([1], [["kept", "a", 0]])

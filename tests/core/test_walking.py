"""Going round, and going on in another version of the workflow."""

import pytest
from django.db.models import F

from django_workflows.core.engine.limits import Limits
from django_workflows.core.engine.staging import MOST_STAGED
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import Assign, Call, End, Halt, Parallel, Router, When, goto
from django_workflows.core.waits import Answer, WaitStatus
from tests.core.flows import engine_of, flow, history, run


def counting(rounds):
    return flow(
        begin=Assign(n=0),
        count=Assign(n=F("n") + 1),
        again=Router(When(lambda state: state.ctx["n"] < rounds, then="count"), default="done"),
        done=End(result=F("n")),
    )


def test_circle_that_ends():
    engine = engine_of(counting(3))

    result = engine.run()

    assert result.output == 3
    assert history(engine, result.execution_id) == [
        *("begin", "count", "again", "count#2", "again#2", "count#3", "again#3", "done")
    ]


def test_circle_without_end_is_stopped():
    result = run(counting(99), limits=Limits(visits=10))

    assert result.error == (
        "StepError: Step 'count' was entered more than 10 times: is the circle it lies on"
        " without end?"
    )


def test_circle_of_pure_steps_is_written_from_time_to_time(store):
    written = []

    class Watching(type(store)):
        def checkpoint(self, execution, entries, *args, **options):
            written.append(len(entries))
            super().checkpoint(execution, entries, *args, **options)

    rounds = MOST_STAGED
    result = run(counting(rounds), store=Watching())

    assert result.output == rounds
    assert max(written) == MOST_STAGED
    assert sum(written) == 2 * rounds + 2


@pytest.fixture
def changed(store):
    """Run one version of a workflow until it halts, then resume it with another."""

    def resume(before, after, **said):
        halted = run(before, store=store)
        return engine_of(after, store=store).resume(halted.execution_id, **said)

    return resume


def test_step_that_is_not_in_the_new_version_fails_the_execution(changed):
    result = changed(flow(a=Halt(), b=Halt()), flow(b=Halt()))

    assert result.status == ExecutionStatus.FAILED
    assert result.error == ("StepError: Step a is not in this version of the workflow any more.")


def test_steps_of_the_new_version_are_taken_up(changed):
    before = flow(ask=Halt(), done=End(result="old"))
    after = flow(ask=Halt(), more=Call(lambda state: state.ctx["ask"]), done=End(result=F("more")))

    assert changed(before, after, response=7).output == 7


def test_answer_to_a_branch_that_the_new_version_has_not_is_laid_aside(store):
    old = flow(both=Parallel(left=Halt("left?", name="l"), right=Halt("right?", name="r")))
    new = flow(both=Parallel(right=Halt("right?", name="r")))
    halted = engine_of(old, store=store).run()
    store.settle(halted.execution_id, "both/left/l", Answer(response=1))

    result = engine_of(new, store=store).drive(halted.execution_id)

    left, right = store.waits(halted.execution_id)
    assert result.status == ExecutionStatus.HALTED
    assert (left.status, right.status) == (WaitStatus.WITHDRAWN, WaitStatus.OPEN)


def test_declared_way_up_the_page_is_a_first_visit():
    workflow = flow(
        first=Call(lambda: 1, next="third"),
        second=End(result=2),
        third=Call(lambda: 3, next="second"),
    )
    engine = engine_of(workflow)

    result = engine.run()

    assert history(engine, result.execution_id) == ["first", "third", "second"]


def test_goto_down_the_page_is_a_first_visit():
    workflow = flow(
        first=Call(lambda: goto("third")), second=Call(lambda: 2), third=Call(lambda: 3)
    )
    engine = engine_of(workflow)

    result = engine.run()

    assert history(engine, result.execution_id) == ["first", "third"]


def test_goto_back_to_what_leads_here_is_another_visit_whatever_the_order():
    rounds = []

    def again():
        rounds.append(1)
        return goto("begin") if len(rounds) == 1 else "done"

    workflow = flow(
        start_here=Assign(options={"next": "begin"}, x=1),
        check=Call(again, next="finish"),
        finish=End(result=1),
        begin=Call(lambda: 1, next="check"),
    )
    engine = engine_of(workflow)

    result = engine.run()

    assert history(engine, result.execution_id) == [
        *("start_here", "begin", "check", "begin#2", "check#2", "finish#2")
    ]

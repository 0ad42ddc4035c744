from dataclasses import dataclass

import pytest
from django.db.models import F, Q

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import Assign, Call, End, Router, Start, Transform, When
from django_workflows.core.workflow import Workflow
from django_workflows.exceptions import InputError, NoRouteMatched
from tests.core.flows import define, engine_of, flow, history, run


def problems(step):
    return list(step.problems())


# Start ------------------------------------------------------------------------------------------


class Ship(Workflow):
    @dataclass
    class Input:
        order_id: int
        express: bool = False

    begin = Start()
    done = End(result={"id": F("input__order_id"), "express": F("input__express")})


def test_start_goes_on_with_the_checked_input():
    result = run(Ship, {"order_id": "7"})

    assert result.output == {"id": 7, "express": False}


def test_bad_input_is_refused_before_anything_is_written(store):
    with pytest.raises(InputError, match="order_id"):
        run(Ship, {"order_id": "x"}, store=store)

    assert store.execution_ids() == []


# Assign -----------------------------------------------------------------------------------------


def test_assign_sets_literals_and_references():
    workflow = flow(
        first=Assign(n=2, who={"name": "$input.name"}, list=[F("input__name"), "x"]),
        second=Assign(double=F("n") * 2, text="$n for $who.name"),
        done=End(result=F("ctx")),
    )

    assert run(workflow, {"name": "Ann"}).output == {
        "n": 2,
        "who": {"name": "Ann"},
        "list": ["Ann", "x"],
        "double": 4,
        "text": "2 for Ann",
    }


def test_assign_reads_ctx_as_it_was_before_the_step():
    workflow = flow(
        a=Assign(x=1, y=2), swap=Assign(x=F("y"), y=F("x")), done=End(result=[F("x"), F("y")])
    )

    assert run(workflow).output == [2, 1]


def test_assign_takes_names_that_are_options_from_a_mapping():
    workflow = flow(
        a=Assign({"next": 1, "a b": 2}, next="done", description="Sets next."),
        skipped=Assign(next=99),
        done=End(result=F("ctx")),
    )

    assert define(workflow).graph.steps["a"].description == "Sets next."
    assert run(workflow).output == {"next": 1, "a b": 2}


def test_assign_takes_its_options_as_a_mapping():
    step = Assign({"x": 1}, options={"name": "it", "on_error": "other"}, next="there")

    assert (step.name, step.on_error, step.next, step.values) == ("it", "other", "there", {"x": 1})


def test_assign_has_no_output_of_its_own():
    workflow = flow(work=Call(lambda: 7), mark=Assign(x=1))

    assert run(workflow).output == 7


def test_assign_may_not_set_the_last_error():
    (problem,) = problems(Assign(_last_error=1))

    assert "_last_error, which belongs to the engine" in problem
    assert problems(Assign(x=1)) == []


def test_assign_says_what_it_sets_and_reads():
    step = Assign(x=F("a"), y=["$b.c"])

    assert list(step.sets()) == ["x", "y"]
    assert [str(ref) for ref in step.references()] == ["$a", "$b.c"]


# Router -----------------------------------------------------------------------------------------


def routed(*routes, ctx, **options):
    workflow = flow(
        before=Assign(ctx),
        way=Router(*routes, **options),
        a=End(result="a"),
        b=End(result="b"),
        c=End(result="c"),
    )
    return run(workflow)


@pytest.mark.parametrize(
    ("total", "way"),
    [(2000, "a"), (1000, "b"), (1, "c")],
)
def test_router_takes_the_first_route_that_matches(total, way):
    routes = [When(Q(total__gt=1500), then="a"), When(Q(total__gt=500), then="b")]

    assert routed(*routes, ctx={"total": total}, default="c").output == way


def test_router_takes_a_callable():
    result = routed(When(lambda state: state.ctx["x"] == [1], then="b"), ctx={"x": [1]})

    assert result.output == "b"


def test_router_without_a_match_shows_the_values_compared():
    result = routed(
        When(Q(total__gt=9), then="a"), When(~Q(kind="x"), then="b"), ctx={"total": 5, "kind": "x"}
    )

    assert result.status == ExecutionStatus.FAILED
    assert isinstance(result.exception, NoRouteMatched)
    assert result.exception.compared == [
        "$total gt 9 (it is 5)",
        "not ($kind exact 'x' (it is 'x'))",
    ]
    assert "No route of 'way' matched and it has no default" in result.error


def test_router_whose_condition_cannot_be_evaluated_fails():
    result = routed(When(Q(total__gt=9), then="a"), ctx={"total": "many"}, default="b")

    assert result.error.startswith("ConditionError: Condition $total gt 9 cannot be evaluated")


def test_router_says_where_it_may_go_and_what_it_reads():
    step = Router(When(Q(x=F("y")), then="a"), When(Q(z=1), then="b"), default="c")

    assert list(step.targets()) == ["a", "b", "c"]
    assert list(Router(When(Q(x=1), then="a")).targets()) == ["a"]
    assert [str(ref) for ref in step.references()] == ["$x", "$y", "$z"]


def test_problems_of_a_router():
    assert problems(Router()) == ["has neither a route nor a default"]
    assert problems(Router(default="a")) == []
    assert "bad regular expression" in problems(Router(When(Q(x__regex="("), then="a")))[0]


# Transform --------------------------------------------------------------------------------------

LINES = [{"sku": "a", "n": 2}, {"sku": "b", "n": 3}]


@pytest.mark.parametrize(
    ("step", "output"),
    [
        (Transform("lines", [("pluck", "n"), "sum"]), 5),
        (Transform("$lines", {"pluck": "n", "sum": None}), 5),
        (Transform(F("lines"), [("select", {"sku": "b"}), "count"]), 1),
        (Transform("lines"), LINES),
        (Transform(operations=["keys"]), ["lines"]),  # ctx as a whole
        (Transform("input.x", ["count"]), 3),
    ],
)
def test_transform(step, output):
    workflow = flow(before=Assign(lines=LINES), it=step, done=End(result=F("it")))

    assert run(workflow, {"x": [1, 2, 3]}).output == output


def test_transform_that_does_not_fit_its_data_fails_at_the_operation():
    workflow = flow(before=Assign(lines=5), it=Transform("lines", ["sum"]))

    result = run(workflow)

    assert result.error == "StepError: Operation 'sum' cannot be applied to 5: it needs a list"


def test_transform_names_an_unknown_operation():
    (problem,) = problems(Transform("lines", ["sum", "explode"]))

    assert problem.startswith("has the unknown operation 'explode'; known are map, select")


def test_transform_says_what_it_reads():
    assert [str(ref) for ref in Transform("a.b").references()] == ["$a.b"]
    assert list(Transform().references()) == []


# End --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, "", [], {}, False])
def test_end_with_a_false_result_has_that_result(value):
    assert run(flow(work=Call(lambda: 7), done=End(result=value))).output == value


def test_end_with_a_missing_reference_has_no_result():
    assert run(flow(work=Call(lambda: 7), done=End(result=F("nobody")))).output is None


def test_end_without_a_result_has_the_output_of_the_last_step_that_had_one():
    workflow = flow(a=Call(lambda: 1), b=Call(lambda: 2), mark=Assign(x=3), done=End())

    assert run(workflow).output == 2


def test_end_may_keep_its_result_in_ctx():
    engine = engine_of(flow(done=End(result=7, output="total")))

    result = engine.run()

    assert result.output == 7
    assert engine.store.load(result.execution_id).ctx == {"total": 7}


def test_end_stops_before_the_steps_written_after_it():
    engine = engine_of(flow(done=End(result=1), never=Call(lambda: 2)))

    result = engine.run()

    assert history(engine, result.execution_id) == ["done"]


def test_end_with_a_result_that_cannot_be_kept_fails():
    result = run(flow(done=End(result={"x": {1, frozenset()}, "y": object()})))

    assert result.error == (
        "OutputError: Step 'done' cannot keep its output.y: object cannot be stored;"
        " store plain data."
    )


def test_end_says_what_it_reads():
    assert [str(ref) for ref in End(result={"x": "$a"}).references()] == ["$a"]

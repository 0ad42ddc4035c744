import pytest

from django_workflows import api, goto, halt, registry, resume, run
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import ConfigurationError, UnknownWorkflow
from django_workflows.steps import Call, End, ForEach, Loop, Parallel, Router, Sleep
from django_workflows.testing import fake_steps

pytestmark = pytest.mark.django_db


def real():
    raise AssertionError("the real work was done")


@pytest.fixture
def ordered(registered):
    return registered("ordered", charge=Call(real), ship=Call(lambda state: state.ctx["charge"]))


def test_value_stands_in_for_the_work(ordered):
    with fake_steps(ordered, charge="paid"):
        assert run(ordered).output == "paid"


def test_function_of_the_state_stands_in_for_the_work(ordered):
    with fake_steps(ordered, charge=lambda state: state.input["euros"] * 2):
        assert ordered.run(euros=6).output == 12


def test_states_of_the_calls_are_kept(ordered):
    with fake_steps(ordered, charge="paid", ship="shipped") as calls:
        ordered.run(euros=6)

    assert [state.input["euros"] for state in calls["charge"]] == [6]
    assert [state.ctx["charge"] for state in calls["ship"]] == ["paid"]


@pytest.mark.parametrize("error", [ValueError("no such card"), ValueError])
def test_exception_is_raised(ordered, error):
    with fake_steps(ordered, charge=error):
        result = run(ordered)

    assert isinstance(result.exception, ValueError)


def test_fake_may_go_elsewhere_and_halt(registered):
    workflow = registered(
        "going", first=Call(real), passed=Call(real), last=Call(lambda state: state.ctx["first"])
    )

    with fake_steps(workflow, first=lambda state: halt("?", resume_step="last")):
        halted = run(workflow)
        assert resume(halted.execution_id, response=7, wait=True).output == 7
    with fake_steps(workflow, first=goto("last", output=8)):
        assert run(workflow).output == 8


def test_retry_and_on_error_of_the_step_count(registered):
    from django_workflows import Retry

    workflow = registered(
        "flaky",
        work=Call(real, retry=Retry(attempts=3, delay=0), on_error="rescue"),
        end=End(),
        rescue=Call(lambda: "rescued"),
    )

    with fake_steps(workflow, work=ConnectionError) as calls:
        assert run(workflow).output == "rescued"

    assert [state.attempt for state in calls["work"]] == [1, 2, 3]


def test_nested_steps_are_named_by_their_path(registered):
    workflow = registered(
        "nested",
        each=Loop(over=[1, 2], do=[Call(real, name="x"), Call(lambda: "kept", name="y")]),
        both=Parallel(
            a=Call(real, name="x"), b=Loop(over=[3], do=Call(real, name="y"), name="each")
        ),
    )

    with fake_steps(
        workflow,
        each__x=lambda state: state.ctx["item"],
        both__a__x="a",
        both__b__each__y=lambda state: state.ctx["item"],
    ) as calls:
        result = run(workflow)

    assert result.output == {"a": "a", "b": [3]}
    assert [state.path for state in calls["each__x"]] == ["each[0]/x", "each[1]/x"]
    assert len(calls["both__b__each__y"]) == 1


def test_steps_of_children_are_named_by_their_path_too(registered):
    registered("child", work=Call(lambda: "real"))
    workflow = registered(
        "nested",
        each=ForEach([1, 2], do=Call(real, name="x")),
        far=Parallel(a=Call(real, name="y"), distributed=True),
        other=ForEach([1], do="child"),
    )

    with fake_steps(workflow, each__x=lambda state: state.ctx["item"], far__a__y="a") as calls:
        result = run(workflow)

    done = api.get(result.execution_id)
    assert done.ctx == {"each": [1, 2], "y": "a", "far": {"a": "a"}, "other": ["real"]}
    assert len(calls["each__x"]) == 2


def test_step_that_holds_others_may_be_faked_as_a_whole(registered):
    workflow = registered("nested", each=Loop(over=[1, 2], do=Call(real)))

    with fake_steps(workflow, each=["one", "two"]):
        assert run(workflow).output == ["one", "two"]


def test_router_may_be_told_where_to_go(registered):
    workflow = registered(
        "routed", route=Router(default="left"), left=Call(real), right=Call(lambda: "right")
    )

    with fake_steps(workflow, route=goto("right")):
        result = run(workflow)

    assert result.output == "right"


def test_step_without_an_output_sets_none(registered):
    workflow = registered("sleepy", nap=Sleep(3600), after=Call(lambda state: dict(state.ctx)))

    with fake_steps(workflow, nap="awake"):
        assert run(workflow).output == {}


def test_everything_is_as_it_was_afterwards(ordered):
    before = ordered.definition

    with fake_steps(ordered, charge=1):
        assert registry["ordered"] is ordered.definition is not before

    assert registry["ordered"] is ordered.definition is before
    assert run(ordered).status == ExecutionStatus.FAILED


def test_everything_is_as_it_was_after_an_error_too(ordered):
    before = ordered.definition

    with pytest.raises(RuntimeError), fake_steps(ordered, charge=1):
        raise RuntimeError

    assert registry["ordered"] is before


def test_workflow_may_be_named_by_its_id(ordered):
    before = ordered.definition

    with fake_steps("ordered", charge="paid"):
        assert run("ordered").output == run(ordered).output == "paid"

    assert ordered.definition is before


def test_workflow_of_a_document_may_be_faked():
    from django_workflows import load_workflow

    load_workflow(
        "id: written\nname: Written\nsteps:\n"
        "  - {id: first, type: assign, set: {a: 1}, next: done}\n"
        "  - {id: done, type: end}\n"
    )
    try:
        with fake_steps("written", first=ValueError("broken")):
            assert run("written").status == ExecutionStatus.FAILED
        assert run("written").output == {"a": 1}
    finally:
        registry.remove("written")


@pytest.mark.parametrize(
    ("name", "shown"), [("chrage", "chrage"), ("charge__x", "charge/x"), ("ship__", "ship/")]
)
def test_unknown_step_is_refused(ordered, name, shown):
    before = ordered.definition

    with (
        pytest.raises(ConfigurationError, match=f"'ordered' has no step {name} to fake"),
        fake_steps(ordered, **{name: 1}),
    ):
        pass

    assert registry["ordered"] is before


def test_unknown_workflow_is_refused():
    with pytest.raises(UnknownWorkflow), fake_steps("nope", charge=1):
        pass

"""Fan-outs on the database, as the public functions see them."""

from datetime import timedelta

import pytest

from django_workflows import (
    api,
    cancel,
    explain,
    fork,
    load_workflow,
    registry,
    resume,
    retry,
    run,
    skip,
    start,
    wiring,
)
from django_workflows.checks import check_workflows
from django_workflows.core import clock
from django_workflows.exceptions import InvalidTransition, NotResumable, UnknownWorkflow
from django_workflows.runners.sync import Sync
from django_workflows.signals import workflow_finished
from django_workflows.steps import Assign, Call, End, ForEach, Halt, Parallel, SubWorkflow
from django_workflows.supervisor import sweep
from django_workflows.testing import run_to_end
from django_workflows.workers import Worker
from tests.test_explaining import said

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def silent(settings):
    """Let nobody hear that something is pending."""
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.SilentBell"}}


@pytest.fixture
def asking(registered):
    return registered("asking", each=ForEach("$input.items", do=Halt("?", name="ask")))


def times(state):
    return state.ctx["item"] * 10


def children_of(execution_id, step="each"):
    return [child.id for child in wiring.store().children(execution_id, step)]


def statuses(execution_id, step="each"):
    return [str(child.status) for child in wiring.store().children(execution_id, step)]


# Running ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [None, 1, 3])
def test_start_drives_the_children_where_it_is_dispatched(registered, concurrency):
    each = ForEach("$input.items", do=Call(times, name="x"), concurrency=concurrency)
    workflow = registered("parent", each=each)

    started = start(workflow, {"items": list(range(30))})

    assert api.get(started.id).result == [n * 10 for n in range(30)]


def test_run_drives_the_children_here(registered):
    registered("child", x=Call(lambda state: state.input["item"] * 10))

    result = run(registered("parent", each=ForEach([1, 2], do="child")))

    assert result.output == [10, 20]


def test_workers_drive_what_is_pending(registered, silent):
    workflow = registered(
        "parent",
        each=ForEach([1, 2, 3], do=[Call(times, name="x"), Call(lambda: 1, name="y")]),
        far=Parallel(distributed=True, a=Call(lambda: 1, name="p"), b=Call(lambda: 2, name="q")),
    )
    worker = Worker()
    started = start(workflow)

    while claimed := worker.claim(2):
        for execution in claimed:
            worker.drive(execution)

    assert api.get(started.id).result == {"a": 1, "b": 2}


def test_supervisor_finds_children_that_nobody_rang_for(registered, silent, settings):
    workflow = registered("parent", each=ForEach([1, 2], do=Call(times, name="x")))
    started = start(workflow)
    wiring.engine(workflow.definition).drive(started.id)

    settings.WORKFLOWS = {}
    sweep()

    assert api.get(started.id).result == [10, 20]


def test_document_fans_out():
    definition = load_workflow(
        """
id: fanned
name: Fanned
inputs:
  items: {type: array}
steps:
  - id: each
    type: for_each
    over: $input.items
    output: results
    do:
      - {id: set, type: assign, set: {twice: $item}}
      - {id: count, type: transform, input: item, expression: {count: }, output: counted}
    next: far
  - id: far
    type: parallel
    distributed: true
    branches:
      - {id: a, type: assign, set: {x: 1}}
      - {id: b, type: assign, set: {y: 2}}
    next: done
  - {id: done, type: end, result: {results: $results, x: $x, y: $y}}
""",
        add=True,
    )
    try:
        assert run("fanned", {"items": [[1, 2], []]}).output == {"results": [2, 0], "x": 1, "y": 2}
        assert run(definition, {"items": []}).output["results"] == []
    finally:
        registry.remove("fanned")


def test_run_to_end_answers_the_children(asking):
    assert run_to_end(asking, {"items": [1, 2]}).output == [None, None]


def test_sync_runner_answers_the_children(registered):
    registered("child", ask=Halt("?"))
    workflow = registered(
        "parent",
        sub=SubWorkflow("child"),
        each=ForEach([1, 2, 3], do=Halt("?", name="ask"), concurrency=2),
    )
    runner = Sync(workflow, wiring.store())

    result = runner.run_until_complete(respond=lambda wait: {"response": "yes"})

    assert result.output == ["yes", "yes", "yes"]


def test_sync_runner_without_an_answer_returns_the_halted_result(asking):
    result = Sync(asking, wiring.store()).run_until_complete({"items": [1]})

    assert result.status == "halted"


# What is said of it -----------------------------------------------------------------------------


def test_explain_counts_the_children(registered):
    workflow = registered(
        "parent",
        each=ForEach(
            [1, 2, 3, 4],
            do=[Call(lambda state: 1 / (state.ctx["item"] - 1), name="x"), Halt("?", name="ask")],
            on_item_error="skip",
        ),
    )
    halted = run(workflow)

    resume(children_of(halted.execution_id)[1], response="done")

    assert said(halted.execution_id) == (
        "waiting for 2 of 4 children of each (1 failed) since WHEN"
    )


def test_explain_of_a_child_that_has_to_wait_for_its_turn(registered):
    each = ForEach([1, 2], do=Halt("?", name="ask"), concurrency=1)
    halted = run(registered("parent", each=each))

    first, second = children_of(halted.execution_id)

    assert said(halted.execution_id) == "waiting for 2 of 2 children of each since WHEN"
    assert explain(first).startswith("halted at ask since")
    assert explain(second) == "waiting for its turn among the children of each"


def test_class_hears_of_its_own_executions_alone(registered):
    workflow = registered("parent", each=ForEach([1, 2], do=Call(times, name="x")))
    heard = []

    def hear(event, sender, **_):
        heard.append((event.workflow_id, sender))

    workflow_finished.connect(hear)
    try:
        run(workflow)
    finally:
        workflow_finished.disconnect(hear)

    part = workflow.definition.parts["parent/each"]
    assert heard == [("parent/each", part), ("parent/each", part), ("parent", workflow)]


def test_part_cannot_be_started_by_itself(asking):
    with pytest.raises(UnknownWorkflow, match="No workflow 'asking/each' is registered"):
        start("asking/each")


@pytest.mark.parametrize("do", ["nobody", "asking/each"])
def test_unknown_workflow_is_found_by_a_check(registered, asking, do):
    registered("parent", each=ForEach([1], do=do))

    (found,) = check_workflows()

    assert found.id == "workflows.E020"
    assert f"step 'each' runs the workflow {do!r}, which is not registered" in found.msg


# Answering --------------------------------------------------------------------------------------


def test_answer_to_the_parent_is_refused_and_the_children_are_named(asking):
    halted = run(asking, {"items": [1, 2]})
    first, second = children_of(halted.execution_id)

    for step in (None, "each", halted.waits[0].id, "each/ask"):
        with pytest.raises(NotResumable) as caught:
            resume(halted.execution_id, response=1, step=step)
        assert "step 'each' waits for its children: answer a child by its own id, such as " in str(
            caught.value
        )
        assert {first, second} <= {*str(caught.value).replace(",", "").replace(".", "").split()}
        assert caught.value.open_steps == ["each"]


def test_answer_is_refused_where_no_child_asks(registered, silent):
    workflow = registered("parent", each=ForEach([1], do=Call(times, name="x")))
    started = start(workflow)
    wiring.engine(workflow.definition).drive(started.id)

    with pytest.raises(NotResumable, match=r"answer a child by its own id\.$"):
        resume(started.id, response=1)


def test_other_waits_of_the_parent_are_answered_as_ever(registered):
    workflow = registered(
        "parent",
        both=Parallel(a=ForEach([1], do=Halt("?", name="x"), name="each"), b=Halt("?", name="ask")),
    )
    halted = run(workflow)

    with pytest.raises(NotResumable, match="several steps wait, so name one"):
        resume(halted.execution_id, response=1)
    resume(halted.execution_id, response=2, step="both/b/ask")
    resume(children_of(halted.execution_id, "both/a/each")[0], response=3)

    assert api.get(halted.execution_id).result == {"a": [3], "b": 2}


def test_no_child_of_many_is_named_more_than_a_few(asking):
    halted = run(asking, {"items": list(range(9))})

    with pytest.raises(NotResumable) as caught:
        resume(halted.execution_id)

    assert sum(child in str(caught.value) for child in children_of(halted.execution_id)) == 5


# Stepping in ------------------------------------------------------------------------------------


def test_cancelled_parent_takes_its_children_along(registered):
    each = ForEach([1, 2, 3], do=Halt("?", name="ask"), concurrency=2)
    halted = run(registered("parent", each=each))

    cancel(halted.execution_id, "no need")

    assert statuses(halted.execution_id) == ["cancelled"] * 3
    assert wiring.store().load(children_of(halted.execution_id)[0]).error == "Cancelled: no need"


def test_cancelled_child_is_a_lost_item(registered):
    each = ForEach([1, 2], do=Halt("?", name="ask"), on_item_error="skip")
    halted = run(registered("parent", each=each))
    first, second = children_of(halted.execution_id)

    cancel(first)
    resume(second, response=2)

    assert api.get(halted.execution_id).result == [2]


def test_all_children_are_cancelled_however_many_there_are(registered, monkeypatch):
    monkeypatch.setattr("django_workflows.core.engine.orphans.MOST_CHILDREN", 2)
    monkeypatch.setattr("django_workflows.core.engine.chores.MOST_CHILDREN", 2)
    halted = run(registered("parent", each=ForEach([1] * 5, do=Halt("?", name="ask"))))

    cancel(halted.execution_id)

    assert statuses(halted.execution_id) == ["cancelled"] * 5
    assert wiring.store().chores(clock.now() + timedelta(days=1)) == []


def test_skipped_step_takes_its_children_along(registered):
    workflow = registered(
        "parent", each=ForEach([1, 2], do=Halt("?", name="ask")), after=Halt("and now?")
    )
    halted = run(workflow)

    skip(halted.execution_id, output=["by", "hand"])

    assert api.get(halted.execution_id).ctx == {"each": ["by", "hand"]}
    assert statuses(halted.execution_id) == ["cancelled"] * 2


def test_retried_parent_runs_what_is_not_done(registered):
    broken, done = [1], []

    def work(state):
        if broken and state.ctx["item"] == 2:
            raise ValueError(broken[0])
        done.append(state.ctx["item"])
        return state.ctx["item"]

    workflow = registered("parent", each=ForEach([1, 2, 3], do=Call(work, name="x"), concurrency=1))
    failed = run(workflow)
    broken.clear()

    retry(failed.execution_id)

    assert api.get(failed.execution_id).result == [1, 2, 3]
    assert done == [1, 2, 3]


def test_child_that_was_retried_counts_where_the_parent_waits_for_others(registered):
    broken = [1]

    def work(state):
        if broken and state.ctx["item"] == 1:
            raise ValueError(broken[0])

    each = ForEach(
        [1, 2], do=[Call(work, name="x"), Halt("?", name="ask")], on_item_error="collect"
    )
    halted = run(registered("parent", each=each))
    first, second = children_of(halted.execution_id)
    broken.clear()

    retry(first)
    resume(first, response="a")
    resume(second, response="b")

    assert api.get(halted.execution_id).result == {"results": ["a", "b"], "errors": []}


def test_child_of_a_part_cannot_be_forked(asking):
    halted = run(asking, {"items": [1]})

    with pytest.raises(InvalidTransition, match="a part of 'asking'; fork needs one that is whole"):
        fork(children_of(halted.execution_id)[0], "ask")


def test_fork_knows_what_distributed_branches_have_set(registered):
    workflow = registered(
        "parent",
        before=Assign(n=1),
        both=Parallel(distributed=True, a=Assign(x=1, name="p"), b=Assign(n=2, name="q")),
        each=ForEach([1], do=Call(times, name="y")),
        after=End(result="$ctx"),
    )
    done = run(workflow)

    again = fork(done.execution_id, "after")

    assert (
        api.get(again.id).result
        == done.output
        == {
            "n": 2,
            "x": 1,
            "both": {"a": None, "b": None},
            "each": [10],
        }
    )

"""fork: a new execution from a step of an old one."""

import pytest

from django_workflows import api, fork, run, skip, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import InvalidTransition, PayloadError
from django_workflows.steps import (
    Assign,
    Call,
    Halt,
    Loop,
    Parallel,
    Start,
)
from django_workflows.testing import taken_path

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def chain(registered):
    return registered(
        "chain",
        begin=Start(),
        unkept=Call(lambda: 0, output=None),
        one=Call(lambda: 1),
        more=Assign(two=2),
        each=Loop(over=[3], do=Call(lambda state: state.ctx["item"], name="three")),
        four=Call(lambda: 4, output="vier"),
        five=Call(lambda state: dict(state.ctx)),
        six=Call(lambda state: dict(state.ctx)),
    )


def test_fork_begins_at_a_step_with_ctx_as_it_was_there(chain):
    done = chain.run(colour="blue")

    forked = fork(done.execution_id, "five", by="alice")

    new = api.get(forked.id)
    assert new.id != done.execution_id
    assert (new.status, new.input, new.started_by) == ("completed", {"colour": "blue"}, "alice")
    assert new.ctx["five"] == {"one": 1, "two": 2, "three": 3, "each": [3], "vier": 4}
    assert taken_path(new.id) == ["five", "six"]
    assert wiring.store().entries(new.id)[0].output["from"] == done.execution_id


def test_fork_of_a_fork_has_what_the_first_began_with(chain):
    done = run(chain)

    second = fork(fork(done.execution_id, "four").id, "five")
    third = fork(fork(done.execution_id, "four").id, "four")

    for forked in (second, third):
        assert api.get(forked.id).ctx == api.get(done.execution_id).ctx


def test_fork_at_the_step_where_it_stands(reviewed):
    halted = run(reviewed)

    forked = fork(halted.execution_id, "review")

    assert api.get(forked.id).status == ExecutionStatus.HALTED
    assert api.get(forked.id).ctx == {"before": 1}


def test_fork_at_the_step_where_its_driver_died(registered):
    class Death(BaseException):
        pass

    def die(state):
        if state.input:
            raise Death

    workflow = registered("doomed", one=Call(lambda: 1), two=Call(die))
    with pytest.raises(Death):
        workflow.run(fatal=True)
    (dead,) = wiring.store().find()

    with pytest.raises(Death):
        fork(dead.id, "two")

    assert [row.ctx for row in wiring.store().find()] == [{"one": 1}, {"one": 1}]


def test_fork_counts_what_was_skipped_as_done(faulty, fault):
    failed = run(faulty)
    skip(failed.execution_id, output="by hand")
    fault.broken = False

    forked = fork(failed.execution_id, "last")

    assert api.get(forked.id).ctx == {"first": 1, "work": "by hand", "done": True}


def test_fork_from_a_step_it_never_came_to_is_refused(faulty):
    failed = run(faulty)

    with pytest.raises(InvalidTransition, match=r"fork from 'last' needs .* past that step"):
        fork(failed.execution_id, "last")


def test_fork_from_an_unknown_step_is_refused(chain):
    done = run(chain)

    with pytest.raises(PayloadError, match="has no step 'nowhere'"):
        fork(done.execution_id, "nowhere")


@pytest.mark.parametrize("distributed", [False, True])
@pytest.mark.parametrize(("rule", "kept"), [("first", "left"), ("last", "right")])
def test_fork_after_a_parallel_has_what_its_rule_has_kept(registered, rule, kept, distributed):
    workflow = registered(
        "merging",
        both=Parallel(
            # The branch that is written first is done last.
            left=[Call(lambda: 0, name="slow"), Call(lambda: "left", name="a", output="side")],
            right=Call(lambda: "right", name="b", output="side"),
            merge=rule,
            distributed=distributed,
        ),
        after=Call(lambda state: state.ctx["side"]),
    )
    done = run(workflow)

    forked = fork(done.execution_id, "after")

    assert done.output == kept
    assert api.get(forked.id).ctx == api.get(done.execution_id).ctx


def test_fork_after_branches_of_which_one_was_enough(registered):
    workflow = registered(
        "racing",
        both=Parallel(
            left=Call(lambda: 1, name="won", output="winner"),
            right=[Call(lambda: 2, name="lost", output="loser"), Halt(name="ask")],
            wait="any",
        ),
        after=Call(lambda state: sorted(state.ctx)),
    )
    done = run(workflow)

    forked = fork(done.execution_id, "after")

    assert api.get(forked.id).result == done.output == ["both", "winner"]


def test_fork_of_a_document_has_the_response(registered):
    from django_workflows import load_workflow, registry, resume

    load_workflow("""
id: forked_document
name: Forked
steps:
  - {id: start, type: start, next: ask}
  - {id: ask, type: approval, prompt: "Well?", next: say}
  - {id: say, type: assign, set: {said: $response}, next: done}
  - {id: done, type: end, result: {said: $said}}
""")
    try:
        halted = run("forked_document")
        done = resume(halted.execution_id, approved=True, response="fine", wait=True)

        forked = fork(done.execution_id, "say")

        assert api.get(forked.id).result == done.output == {"said": "fine"}
    finally:
        registry.remove("forked_document")

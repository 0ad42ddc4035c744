"""cancel, retry, skip and fork: how people step in."""

import pytest
from django.contrib.auth.models import User

from django_workflows import api, cancel, fork, resume, retry, run, skip, start, wiring
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.waits import WaitStatus
from django_workflows.exceptions import InvalidTransition, PayloadError
from django_workflows.steps import (
    Approval,
    Assign,
    Call,
    End,
    Halt,
    Loop,
    Parallel,
    Router,
    Sleep,
    Start,
    SubWorkflow,
)
from django_workflows.testing import taken_path

pytestmark = pytest.mark.django_db(transaction=True)


class Fault:
    """A step that fails until it is mended, and keeps what it was called with."""

    def __init__(self):
        self.broken = True
        self.paths = []

    def __call__(self, state):
        self.paths.append(state.path)
        if self.broken:
            raise ValueError("broken")
        return "mended"


@pytest.fixture
def fault():
    return Fault()


@pytest.fixture
def reviewed(registered):
    return registered("reviewed", before=Call(lambda: 1), review=Approval("Really?"))


@pytest.fixture
def faulty(registered, fault):
    return registered("faulty", first=Call(lambda: 1), work=Call(fault), last=Assign(done=True))


def actions(execution_id):
    return [entry.action for entry in wiring.store().entries(execution_id)]


def last_entry(execution_id):
    return wiring.store().entries(execution_id)[-1]


# cancel -----------------------------------------------------------------------------------------


def test_halted_execution_is_cancelled(reviewed):
    halted = run(reviewed)

    cancelled = cancel(halted.execution_id, "changed my mind", by=User(username="alice"))

    assert cancelled == api.get(halted.execution_id)
    assert cancelled.status == ExecutionStatus.CANCELLED
    assert cancelled.error == "Cancelled: changed my mind"
    assert cancelled.finished_at is not None
    entry = last_entry(cancelled.id)
    assert (entry.action, entry.by) == (EntryAction.CANCELLED, "alice")
    assert [wait.status for wait in wiring.store().waits(cancelled.id)] == [WaitStatus.WITHDRAWN]


def test_cancel_needs_no_reason(reviewed):
    assert cancel(run(reviewed).execution_id).error == "Cancelled: no reason given"


def test_execution_is_cancelled_once(reviewed):
    cancelled = cancel(run(reviewed).execution_id)

    with pytest.raises(InvalidTransition, match="is cancelled; cancel needs .* still under way"):
        cancel(cancelled.id)


def test_driver_of_a_cancelled_execution_stops_at_its_next_checkpoint(registered):
    passed = []

    def work(state):
        cancel(state.execution_id, "in between")
        return "unheard"

    result = run(registered("interrupted", work=Call(work), after=Call(passed.append)))

    assert result.status == ExecutionStatus.CANCELLED
    assert passed == []
    assert actions(result.execution_id) == [EntryAction.CANCELLED]


def test_atomic_work_under_way_is_undone_by_a_cancel(registered):
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection, connections

    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer: the cancel waits for the step")

    def elsewhere(execution_id):
        try:
            cancel(execution_id)
        finally:
            connections.close_all()

    def work(state):
        User.objects.create_user("made")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(elsewhere, state.execution_id).result()

    result = run(registered("undone", work=Call(work, atomic=True)))

    assert result.status == ExecutionStatus.CANCELLED
    assert not User.objects.exists()


def test_cancel_cascades_to_children_and_theirs(registered):
    registered("grandchild", ask=Halt("Which?"))
    registered("child", kid=SubWorkflow("grandchild"))
    halted = run(registered("parent", kid=SubWorkflow("child")))
    child = api.get(halted.waits[0].key)
    (grandchild,) = wiring.store().find(parent=child.id)

    cancel(halted.execution_id)

    reason = f"Cancelled: parent {halted.execution_id} was cancelled"
    assert api.get(child.id).error == reason
    assert api.get(grandchild.id).status == ExecutionStatus.CANCELLED


def test_child_that_has_ended_stays_as_it_ended(registered):
    registered("child", work=Call(lambda: 1))
    halted = run(registered("parent", kid=SubWorkflow("child"), ask=Halt("Well?")))

    cancel(halted.execution_id)

    (child,) = wiring.store().find(parent=halted.execution_id)
    assert child.status == ExecutionStatus.COMPLETED


@pytest.mark.parametrize("handled", [True, False])
def test_cancelled_child_is_a_failed_step_of_its_parent(registered, handled):
    registered("child", ask=Halt("Which?"))
    on_error = {"on_error": "rescue"} if handled else {}
    workflow = registered(
        "parent",
        kid=SubWorkflow("child", **on_error),
        end=End(),
        **({"rescue": Call(lambda: "rescued")} if handled else {}),
    )
    halted = run(workflow)

    cancel(halted.waits[0].key, "no need")

    parent = api.get(halted.execution_id)
    if handled:
        assert (parent.status, parent.result) == (ExecutionStatus.COMPLETED, "rescued")
    else:
        assert parent.status == ExecutionStatus.FAILED
        assert "is cancelled: Cancelled: no need" in parent.error


# retry ------------------------------------------------------------------------------------------


def test_failed_execution_goes_on_at_the_step_that_failed(faulty, fault):
    failed = run(faulty)
    fault.broken = False

    again = retry(failed.execution_id, by="alice")

    assert again.status == ExecutionStatus.PENDING
    done = api.get(again.id)
    assert (done.status, done.error, done.result) == (ExecutionStatus.COMPLETED, None, "mended")
    assert taken_path(again.id) == ["first", "work", "last"]
    (entry,) = [
        entry
        for entry in wiring.store().entries(again.id)
        if entry.action == EntryAction.RETRIED
    ]
    assert (entry.by, entry.step_id) == ("alice", "work")


def test_retry_may_fail_again(faulty):
    failed = run(faulty)

    retry(failed.execution_id)

    assert api.get(failed.execution_id).status == ExecutionStatus.FAILED


def test_retry_goes_on_in_the_round_of_a_loop_that_failed(registered, fault):
    seen = []
    workflow = registered(
        "looping",
        each=Loop(
            over=["a", "b", "c"],
            do=[
                Call(lambda state: seen.append(state.ctx["item"]), name="see"),
                Call(lambda state: fault(state) if state.ctx["item"] == "b" else 0, name="work"),
            ],
        ),
    )
    failed = run(workflow)
    fault.broken = False

    retry(failed.execution_id)

    assert api.get(failed.execution_id).result == [0, "mended", 0]
    assert seen == ["a", "b", "c"]


def test_retry_runs_only_the_branch_that_failed(registered, fault):
    done = []
    workflow = registered(
        "branching",
        both=Parallel(
            a=Call(lambda: done.append("a"), name="x"),
            b=[Call(lambda: done.append("b"), name="y"), Call(fault, name="work")],
        ),
    )
    failed = run(workflow)
    fault.broken = False

    retry(failed.execution_id)

    assert api.get(failed.execution_id).result == {"a": None, "b": "mended"}
    assert sorted(done) == ["a", "b"]


def test_retry_asks_anew_what_a_branch_was_waiting_for(registered, fault):
    workflow = registered(
        "asking", both=Parallel(a=Halt("Which?", name="ask"), b=Call(fault, name="work"))
    )
    failed = run(workflow)
    fault.broken = False

    retry(failed.execution_id)

    result = resume(failed.execution_id, response=7, wait=True)
    assert result.output == {"a": 7, "b": "mended"}


def test_retry_from_an_earlier_step_runs_what_follows_again(registered, fault):
    calls = []
    workflow = registered("again", first=Call(lambda: calls.append(1)), work=Call(fault))
    failed = run(workflow)
    fault.broken = False

    retry(failed.execution_id, from_step="first")

    assert len(calls) == 2
    assert api.get(failed.execution_id).status == ExecutionStatus.COMPLETED


def test_retry_with_other_input(registered):
    workflow = registered("dividing", work=Call(lambda state: 6 / state.input["by"]))
    failed = workflow.run(by=0)

    retry(failed.execution_id, input={"by": 2})

    assert api.get(failed.execution_id).result == 3


def test_cancelled_execution_may_be_retried(reviewed):
    cancelled = cancel(run(reviewed).execution_id)

    retry(cancelled.id)

    assert resume(cancelled.id, approved=True, wait=True).status == ExecutionStatus.COMPLETED


@pytest.mark.parametrize("options", [{}, {"from_step": "kid"}])
def test_retry_of_a_step_with_a_child_runs_a_new_child(registered, fault, options):
    registered("child", work=Call(fault))
    failed = run(registered("parent", kid=SubWorkflow("child")))
    fault.broken = False

    retry(failed.execution_id, **options)

    assert api.get(failed.execution_id).result == "mended"
    children = wiring.store().find(parent=failed.execution_id)
    assert [child.status for child in children] == ["completed", "failed"]


def test_retry_from_an_unknown_step_is_refused(faulty):
    failed = run(faulty)

    with pytest.raises(PayloadError, match="has no step 'nowhere'; it has first, work, last"):
        retry(failed.execution_id, from_step="nowhere")

    assert api.get(failed.execution_id).status == ExecutionStatus.FAILED


def test_what_has_not_failed_cannot_be_retried(reviewed):
    with pytest.raises(InvalidTransition, match="is halted; retry needs .* failed or cancelled"):
        retry(run(reviewed).execution_id)


def test_retry_after_compensations_must_say_where_to_begin(registered, fault):
    booked = []
    workflow = registered(
        "saga",
        book=Call(lambda: booked.append("book"), compensate="unbook"),
        work=Call(fault),
        end=End(result="fine"),
        unbook=Call(lambda: booked.append("unbook")),
    )
    failed = run(workflow)
    fault.broken = False

    with pytest.raises(InvalidTransition, match="undone by its compensations; .* from_step="):
        retry(failed.execution_id)
    retry(failed.execution_id, from_step="book")

    assert booked == ["book", "unbook", "book"]
    assert api.get(failed.execution_id).result == "fine"


# skip -------------------------------------------------------------------------------------------


def test_failed_step_is_skipped_with_an_output(faulty):
    failed = run(faulty)

    skipped = skip(failed.execution_id, output={"by": "hand"}, reason="done on paper", by="alice")

    done = api.get(skipped.id)
    assert (done.status, done.result) == (ExecutionStatus.COMPLETED, {"by": "hand"})
    entry = next(
        entry for entry in wiring.store().entries(done.id) if entry.action == EntryAction.SKIPPED
    )
    assert (entry.step_id, entry.by) == ("work", "alice")
    assert entry.output == {"output": {"by": "hand"}, "reason": "done on paper"}


def test_halted_step_is_skipped_and_its_wait_withdrawn(reviewed):
    halted = run(reviewed)

    skip(halted.execution_id)

    assert api.get(halted.execution_id).status == ExecutionStatus.COMPLETED
    statuses = [wait.status for wait in wiring.store().waits(halted.execution_id)]
    assert statuses == [WaitStatus.WITHDRAWN]


def test_step_without_an_output_is_skipped(registered):
    halted = run(registered("sleepy", nap=Sleep(3600), after=Call(lambda: "awake")))

    skip(halted.execution_id, output="ignored")

    done = api.get(halted.execution_id)
    assert (done.result, done.ctx) == ("awake", {"after": "awake"})


def test_skip_of_a_child_cancels_it(registered):
    registered("child", ask=Halt("Which?"))
    halted = run(registered("parent", kid=SubWorkflow("child")))

    skip(halted.execution_id, output="instead")

    assert api.get(halted.execution_id).result == "instead"
    child = api.get(halted.waits[0].key)
    assert child.error == "Cancelled: step 'kid' of its parent was skipped"


def test_what_has_ended_well_cannot_be_skipped(registered):
    done = run(registered("quick", work=Call(lambda: 1)))

    with pytest.raises(InvalidTransition, match="completed; skip needs .* failed or halted"):
        skip(done.execution_id)


def test_what_has_not_begun_cannot_be_skipped(faulty):
    delayed = start(faulty, delay=60)

    with pytest.raises(InvalidTransition, match="is not begun; skip needs one that is at a step"):
        skip(delayed.id)


def test_step_that_a_new_version_dropped_cannot_be_skipped(registered, reviewed):
    from django_workflows import registry

    halted = run(reviewed)
    registry.remove("reviewed")
    registered("reviewed", before=Call(lambda: 1))

    with pytest.raises(PayloadError, match="has no step 'review'; it has before"):
        skip(halted.execution_id)


# fork -------------------------------------------------------------------------------------------


@pytest.fixture
def chain(registered):
    return registered(
        "chain",
        begin=Start(),
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

    with pytest.raises(InvalidTransition, match="fork from 'last' needs .* past that step"):
        fork(failed.execution_id, "last")


def test_fork_from_an_unknown_step_is_refused(chain):
    done = run(chain)

    with pytest.raises(PayloadError, match="has no step 'nowhere'"):
        fork(done.execution_id, "nowhere")

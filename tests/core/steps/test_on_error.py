import pytest
from django.db.models import F, Q

from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.retry import Retry
from django_workflows.core.steps import Call, End, Loop, Router, When, halt, step
from django_workflows.core.waits import Cause
from django_workflows.core.workflow import Workflow
from tests.core.flows import Crash, FailingCommit, answered, engine_of, flow, history, run


class Flaky:
    """Raises its errors one after another, then returns "fine"."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.keys = []
        self.attempts = []

    def __call__(self, state):
        self.keys.append(state.idempotency_key)
        self.attempts.append(state.attempt)
        if self.errors:
            raise self.errors.pop(0)
        return "fine"


def fail():
    raise ValueError("no such order")


ERROR = {"step": "it", "class": "ValueError", "message": "no such order"}


def test_on_error_sees_the_error_and_the_steps_after_do_not():
    workflow = flow(
        it=Call(fail, on_error="refuse"),
        never=Call(fail),
        refuse=Call(lambda state: state.ctx["_last_error"]),
        after=Call(lambda state: dict(state.ctx)),
    )
    engine = engine_of(workflow)

    result = engine.run()

    assert result.output == {"refuse": ERROR}
    assert "_last_error" not in engine.store.load(result.execution_id).ctx


def test_on_error_is_gone_after_a_router_too():
    workflow = flow(
        it=Call(fail, on_error="which"),
        which=Router(
            When(Q(_last_error__class="KeyError"), then="it"),
            When(Q(_last_error__class="ValueError"), then="done"),
        ),
        done=End(result={"ctx": F("ctx")}),
    )

    assert run(workflow).output == {"ctx": {}}


def test_on_error_of_the_on_error_step_sees_its_own_error():
    workflow = flow(
        it=Call(fail, on_error="refuse"),
        refuse=Call(fail, on_error="worse"),
        worse=Call(lambda state: state.ctx["_last_error"]["step"]),
        after=Call(lambda state: dict(state.ctx)),
    )

    assert run(workflow).output == {"worse": "refuse"}


def test_on_error_step_may_halt_and_still_sees_the_error_when_resumed():
    class Refusal(Workflow):
        it = Call(fail, on_error="ask")

        @step
        def ask(self, state):
            return halt("What now?", resume_step="tell", error=state.ctx["_last_error"]["message"])

        tell = Call(lambda state: "_last_error" in state.ctx)

    engine = engine_of(Refusal)

    halted = engine.run()
    ended = engine.resume(halted.execution_id, response="x")

    assert halted.halt.data == {"reason": "What now?", "error": "no such order"}
    assert ended.output is False


def test_on_error_of_a_nesting_step_names_the_step_inside_that_failed():
    workflow = flow(
        it=Loop(over=[1], do=Call(fail, name="pay"), on_error="refuse"),
        refuse=Call(lambda state: state.ctx["_last_error"]["step"]),
    )

    assert run(workflow).output == "it[0]/pay"


@pytest.mark.parametrize("target", ["continue", "break"])
def test_on_error_that_ends_a_round_leaves_no_error_behind(target):
    workflow = flow(
        each=Loop(over=[1, 2], do=[Call(fail, name="pay", on_error=target)]),
        done=End(result=F("ctx")),
    )

    assert run(workflow).output == {"each": [None] * (2 if target == "continue" else 1)}


def test_on_error_that_ends_the_workflow_leaves_no_error_behind(store):
    result = run(flow(it=Call(fail, on_error="__FINISHED__")), store=store)

    assert result.status == ExecutionStatus.COMPLETED
    assert store.load(result.execution_id).ctx == {}


def test_failure_without_on_error_fails_the_execution(store):
    engine = engine_of(flow(a=Call(lambda: 1), it=Call(fail)), store=store)

    result = engine.run()

    entry = store.entries(result.execution_id)[-1]
    execution = store.load(result.execution_id)
    assert (result.status, result.error) == ("failed", "ValueError: no such order")
    assert (entry.action, entry.step_id, entry.error) == (EntryAction.FAILED, "it", result.error)
    assert entry.traceback.endswith("ValueError: no such order\n")
    assert (execution.current_step, execution.ctx) == ("it", {"a": 1})
    assert execution.finished_at is not None


def test_failure_of_the_first_step_names_it(store):
    result = run(Call(fail), store=store)

    assert store.load(result.execution_id).current_step == "it"


@pytest.mark.parametrize("handled", [True, False])
def test_error_whose_text_cannot_be_stored_is_no_silent_failure(store, handled):
    def work():
        raise OSError("no file 'caf\udce9'")

    workflow = flow(
        it=Call(work, on_error="refuse" if handled else None),
        never=End(),
        refuse=End(result=F("_last_error__message")),
    )
    result = run(workflow, store=store)

    if handled:
        assert result.output == r"no file 'caf\udce9'"
    else:
        assert result.error == r"OSError: no file 'caf\udce9'"
    assert history_errors(store, result) == [r"OSError: no file 'caf\udce9'"]


def history_errors(store, result):
    return [entry.error for entry in store.entries(result.execution_id) if entry.error]


def test_error_that_takes_no_attributes_is_told_as_it_is():
    class Frozen(Exception):
        def __setattr__(self, name, value):
            raise AttributeError("frozen")

    def work():
        raise Frozen("as it is")

    workflow = flow(
        it=Call(work, on_error="refuse"), never=End(), refuse=End(result=F("_last_error__step"))
    )

    assert run(workflow).output == "it"


def test_history_of_a_handled_failure():
    engine = engine_of(flow(it=Call(fail, on_error="end"), never=End(), end=End(result=1)))

    result = engine.run()

    assert history(engine, result.execution_id) == ["it", "end"]


def test_answer_is_kept_for_the_next_attempt_where_the_commit_of_the_first_fails():
    store = FailingCommit(at=2)
    asks = Call(lambda: halt("?"), atomic=True, retry=Retry(attempts=2, delay=0))
    engine = engine_of(asks, store=store)

    result = engine.resume(engine.run().execution_id, response=7)

    assert result.output == 7
    assert history(engine, result.execution_id, "retried") == ["it"]


def test_attempt_after_a_durable_pause_is_made_again_after_a_crash(recovered):
    flaky = Flaky(ValueError(), ValueError(), Crash())
    policy = Retry(attempts=3, delay=60, backoff=0.0001)  # a long pause, then a short one
    engine = engine_of(Call(flaky, retry=policy))

    halted = engine.run()
    with pytest.raises(Crash):
        answered(engine, halted.execution_id, Cause.RETRY)
    result = recovered(engine, halted.execution_id)

    assert flaky.attempts == [1, 2, 3, 3]
    assert result.output == "fine"

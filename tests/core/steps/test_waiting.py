from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db.models import F

from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import (
    Approval,
    Call,
    End,
    Halt,
    Sleep,
    SleepUntil,
    WaitForEvent,
    halt,
)
from django_workflows.core.waits import Cause, InboxEvent, WaitKind, WaitStatus
from django_workflows.exceptions import AlreadyResumed, NotResumable, PayloadError, Rejected
from tests.core.flows import answered, engine_of, flow, history, run

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


# Approval ---------------------------------------------------------------------------------------


def approval(**options):
    return flow(
        review=Approval("Ship $input.id?", **options),
        shipped=End(result=F("review")),
        refused=End(result={"refused": F("review")}),
        forgotten=End(result={"forgotten": F("ctx")}),
    )


def test_approval_asks():
    engine = engine_of(
        approval(
            context={"id": F("input__id")},
            approvers=["group:managers", "$input.boss"],
            required=2,
            exclude_requester=False,
            timeout=timedelta(days=2),
            remind_after=3600,
        )
    )

    result = engine.run({"id": 7, "boss": "user:eve"})

    (wait,) = result.waits
    assert result.halt.data == {
        "prompt": "Ship 7?",
        "context": {"id": 7},
        "approvers": ["group:managers", "user:eve"],
        "required": 2,
    }
    assert (wait.kind, wait.prompt) == (WaitKind.APPROVAL, "Ship 7?")
    assert (wait.approvers, wait.required) == (("group:managers", "user:eve"), 2)
    assert not wait.exclude_requester
    assert wait.wake_at - wait.remind_at == timedelta(days=2) - timedelta(hours=1)


def test_approval_without_a_timeout_waits_for_ever():
    (wait,) = run(approval(), {"id": 7}).waits

    assert (wait.wake_at, wait.remind_at, wait.exclude_requester) == (None, None, True)


def test_approved():
    engine = engine_of(approval(on_reject="refused"))
    halted = engine.run({"id": 7})

    result = engine.resume(halted.execution_id, response="go", approved=True, by="alice")

    (wait,) = engine.store.waits(halted.execution_id)
    assert result.output == {
        "approved": True,
        "by": "alice",
        "response": "go",
        "at": wait.answer.at,
    }
    assert wait.status == WaitStatus.TAKEN
    assert engine.store.entries(halted.execution_id)[-2].by == "alice"


def test_rejected_goes_to_on_reject():
    engine = engine_of(approval(on_reject="refused"))
    halted = engine.run({"id": 7})

    result = engine.resume(halted.execution_id, response="too dear", approved=False, by="alice")

    refused = result.output["refused"]
    assert (refused["approved"], refused["by"], refused["response"]) == (False, "alice", "too dear")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"by": "alice", "response": "too dear"}, "was rejected by alice: too dear"),
        ({}, "was rejected: no reason"),
    ],
)
def test_rejected_without_on_reject_fails(said, error):
    engine = engine_of(approval())
    halted = engine.run({"id": 7})

    result = engine.resume(halted.execution_id, approved=False, **said)

    assert result.error == f"Rejected: Step 'review' {error}"


def test_rejection_may_be_handled_by_on_error():
    engine = engine_of(approval(on_error="refused"))
    halted = engine.run({"id": 7})

    assert engine.resume(halted.execution_id, approved=False).output == {"refused": None}


def test_approval_that_runs_out_of_time_goes_to_on_timeout():
    engine = engine_of(approval(timeout=60, on_timeout="forgotten"))
    halted = engine.run({"id": 7})

    result = answered(engine, halted.execution_id, Cause.TIMEOUT)

    assert result.output == {"forgotten": {}}


def test_approval_that_runs_out_of_time_without_on_timeout_fails():
    engine = engine_of(approval(timeout=60))
    halted = engine.run({"id": 7})

    result = answered(engine, halted.execution_id, Cause.TIMEOUT)

    assert result.error == "WaitTimeout: Step 'review' waited longer than 60 s."


def test_approval_by_two():
    engine = engine_of(approval(required=2))
    halted = engine.run({"id": 7})

    first = engine.resume(halted.execution_id, approved=True, by="alice")
    second = engine.resume(halted.execution_id, approved=True, by="bob")

    assert first.status == ExecutionStatus.HALTED
    assert [answer.by for answer in first.waits[0].answers] == ["alice"]
    assert (second.status, second.output["by"]) == ("completed", "bob")


def test_approval_by_two_is_not_given_by_one_person_twice():
    engine = engine_of(approval(required=2))
    halted = engine.run({"id": 7})
    engine.resume(halted.execution_id, approved=True, by="alice")

    with pytest.raises(AlreadyResumed) as caught:
        engine.resume(halted.execution_id, approved=True, by="alice")

    assert (caught.value.by, caught.value.step) == ("alice", "review")
    assert engine.result(halted.execution_id).status == ExecutionStatus.HALTED


def test_approval_by_two_is_refused_by_one():
    engine = engine_of(approval(required=2))
    halted = engine.run({"id": 7})
    engine.resume(halted.execution_id, approved=True, by="alice")

    result = engine.resume(halted.execution_id, approved=False, by="bob")

    assert isinstance(result.exception, Rejected) or result.error.startswith("Rejected")


@pytest.mark.parametrize("approved", [None, "yes", 1])
def test_approval_takes_a_yes_or_a_no(approved):
    engine = engine_of(approval())
    halted = engine.run({"id": 7})

    with pytest.raises(NotResumable, match="answer approved=True or False"):
        engine.resume(halted.execution_id, approved=approved)


def test_approval_may_keep_the_response_apart():
    engine = engine_of(
        flow(
            review=Approval("?", response_key="response"),
            done=End(result=[F("response"), F("review__approved")]),
        )
    )
    halted = engine.run()

    result = engine.resume(halted.execution_id, response={"note": "x"}, approved=True)

    assert result.output == [{"note": "x"}, True]


def test_approval_says_where_it_may_go_what_it_reads_and_what_it_sets():
    step = Approval(
        "$a",
        name="it",
        context=F("b"),
        approvers=["$c"],
        on_reject="x",
        on_timeout="y",
        response_key="r",
    )

    assert list(step.targets()) == ["x", "y"]
    assert [str(ref) for ref in step.references()] == ["$a", "$b", "$c"]
    assert list(step.sets()) == ["it", "r"]
    assert list(Approval("?", name="it").targets()) == []
    assert list(Approval("?", name="it").sets()) == ["it"]


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (Approval("?", required=0), "required must be at least 1, not 0"),
        (Approval("?", approvers=["alice"]), "approver 'alice' must be 'user:NAME'"),
        (Approval("?", approvers=["user:"]), "approver 'user:' must be"),
        (Approval("?", on_timeout="x"), "has on_timeout but no timeout"),
        (WaitForEvent("a:b"), "event 'a:b' must be a name without a colon"),
        (WaitForEvent(""), "event '' must be a name without a colon"),
        (WaitForEvent("a", on_timeout="x"), "has on_timeout but no timeout"),
    ],
)
def test_problem(step, problem):
    (found,) = step.problems()

    assert problem in found


@pytest.mark.parametrize(
    "step",
    [
        Approval("?", approvers=["user:a", "group:b", "perm:c.d", "$who"]),
        Approval("?", timeout=1, on_timeout="x"),
        WaitForEvent("a", timeout=1, on_timeout="x"),
    ],
)
def test_sound_options_are_no_problem(step):
    assert list(step.problems()) == []


# Sleep ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "delay", [90, 90.0, timedelta(seconds=90), "$input.delay", F("input__delay")]
)
def test_sleep_wakes_after_its_delay(delay):
    engine = engine_of(flow(before=Call(lambda: 1), it=Sleep(delay)))

    halted = engine.run({"delay": 90})
    ended = answered(engine, halted.execution_id, Cause.TIMER)

    (wait,) = halted.waits
    assert wait.kind == WaitKind.TIMER
    assert abs(wait.wake_at - wait.opened_at - timedelta(seconds=90)) < timedelta(seconds=1)
    assert halted.halt.data == {"until": wait.wake_at}
    assert ended.output == 1  # a sleep has no output


@pytest.mark.parametrize("delay", [-1, "soon", True, "$nothing", [1]])
def test_sleep_for_what_is_no_duration_fails(delay):
    result = run(Sleep(delay))

    assert result.error.startswith("StepError: Step 'it' cannot sleep for ")
    assert result.error.endswith("give seconds.")


@pytest.mark.parametrize(
    "moment", [datetime(2040, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), "$input.at"]
)
def test_sleep_until_a_moment(moment):
    engine = engine_of(SleepUntil(moment))

    halted = engine.run({"at": datetime(2040, 1, 1, tzinfo=UTC)})
    ended = answered(engine, halted.execution_id, Cause.TIMER)

    assert halted.waits[0].wake_at == datetime(2040, 1, 1, tzinfo=UTC)
    assert ended.status == ExecutionStatus.COMPLETED


@pytest.mark.parametrize("moment", [datetime(2040, 1, 1), "tomorrow", None])  # noqa: DTZ001
def test_sleep_until_what_is_no_aware_moment_fails(moment):
    assert run(SleepUntil(moment)).error.endswith("give an aware datetime.")


def test_sleeps_say_what_they_read():
    assert [str(ref) for ref in Sleep("$a").references()] == ["$a"]
    assert [str(ref) for ref in SleepUntil(F("b")).references()] == ["$b"]


# WaitForEvent -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "topic"), [("$input.id", "paid:7"), ("", "paid:"), ("$nothing", "paid:"), (0, "paid:0")]
)
def test_wait_for_event_asks_for_its_name_and_key(key, topic):
    result = run(WaitForEvent("paid", key=key), {"id": 7})

    (wait,) = result.waits
    assert (wait.kind, wait.key) == (WaitKind.EVENT, topic)


def test_event_is_the_output():
    engine = engine_of(WaitForEvent("paid"))
    halted = engine.run()

    result = answered(engine, halted.execution_id, Cause.EVENT, response={"total": 5})

    assert result.output == {"total": 5}


def test_event_that_came_first_is_taken_at_once(store):
    store.add_event(InboxEvent(name="paid", key="7", data={"total": 5}, by="shop"))
    engine = engine_of(WaitForEvent("paid", key=F("input__id")), store=store)

    result = engine.run({"id": 7})

    assert result.output == {"total": 5}
    assert store.entries(result.execution_id)[-1].by == "shop"


def test_event_for_another_key_is_left(store):
    store.add_event(InboxEvent(name="paid", key="8"))

    result = run(WaitForEvent("paid", key=F("input__id")), {"id": 7}, store=store)

    assert result.status == ExecutionStatus.HALTED


def test_each_event_is_taken_once_and_the_oldest_first(store):
    for n in (1, 2):
        store.add_event(InboxEvent(name="paid", data=n, sent_at=clock.now() + timedelta(n)))
    engine = engine_of(
        flow(a=WaitForEvent("paid"), b=WaitForEvent("paid"), done=CTX, c=WaitForEvent("paid")),
        store=store,
    )

    assert engine.run().output == {"a": 1, "b": 2}


def test_event_that_does_not_come_in_time():
    workflow = flow(
        it=WaitForEvent("paid", timeout=60, on_timeout="late"), done=CTX, late=End(result="late")
    )
    engine = engine_of(workflow)
    halted = engine.run()

    result = answered(engine, halted.execution_id, Cause.TIMEOUT)

    assert halted.waits[0].wake_at is not None
    assert result.output == "late"


def test_event_that_does_not_come_in_time_without_on_timeout_fails():
    engine = engine_of(WaitForEvent("paid", timeout=timedelta(minutes=1)))
    halted = engine.run()

    result = answered(engine, halted.execution_id, Cause.TIMEOUT)

    assert result.error == "WaitTimeout: Step 'it' waited longer than 60 s."


def test_wait_for_event_says_where_it_may_go_and_what_it_reads():
    step = WaitForEvent("paid", key="$a", timeout=1, on_timeout="late")

    assert list(step.targets()) == ["late"]
    assert list(WaitForEvent("paid").targets()) == []
    assert [str(ref) for ref in step.references()] == ["$a"]

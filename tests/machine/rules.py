"""The rules: what users, workers, supervisors and accidents do, in any order."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from django_workflows import api, registry, wiring
from django_workflows.core import clock
from django_workflows.core.execution import FINAL_STATUSES, ExecutionStatus
from django_workflows.core.presence import new_owner
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.exceptions import (
    AlreadyResumed,
    ExecutionNotFound,
    InvalidTransition,
    NotAllowed,
    NotResumable,
)
from django_workflows.supervisor import Supervisor
from tests.machine import ending, flows, world
from tests.machine.actors import RUN, End, Fate
from tests.machine.backends import Post
from tests.machine.base import MOST_STARTED, Example, Pick, picked, steps_of

LEASE = timedelta(seconds=60)

UNDER_WAY = set(ExecutionStatus) - FINAL_STATUSES
RETRIED = {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}
SKIPPED = {ExecutionStatus.FAILED, ExecutionStatus.HALTED}

#: How a verb, and an answer, may be refused where others interfere.
GONE = (InvalidTransition, ExecutionNotFound)
REFUSED = (NotResumable, NotAllowed, ExecutionNotFound)

Input = dict[str, Any]

picks = st.integers(0, 7)
workflows = st.sampled_from(flows.STARTED)
keys = st.sampled_from(["one", "two"])
people = st.sampled_from(["ann", "bob", "ann", "requester"])
ends = st.sampled_from([End.FREEZE, End.DIE, End.FREEZE, End.DRAIN, End.RUN])
fates = st.builds(Fate, ends, st.integers(0, 11))
#: Of those who call the API, and of supervisors: these have fewer points.
short_fates = st.one_of(
    st.just(RUN), st.builds(Fate, st.sampled_from([End.DIE, End.FREEZE]), st.integers(0, 8))
)
inputs = st.fixed_dictionaries({"key": keys, "is_bad": st.sampled_from([False, False, True])})


class Machine(Example):
    """Everything that may happen."""

    # Users --------------------------------------------------------------------------------------

    @initialize(first=workflows, second=workflows, given=inputs)
    def begin(self, first: type, second: type, given: Input) -> None:
        """Choose what this example is about, and have something to do from the beginning."""
        self.kinds = [first, second]
        for workflow in self.kinds:
            api.start(workflow, given, by="requester")

    @precondition(lambda self: self.started < MOST_STARTED)
    @rule(
        pick=picks,
        given=inputs,
        named=st.booleans(),
        delay=st.sampled_from([None, None, 30]),
        fate=short_fates,
    )
    def start(
        self,
        pick: Pick,
        given: Input,
        named: bool,
        delay: int | None,
        fate: Fate,
    ) -> None:
        self.started += 1
        workflow, name = picked(self.kinds, pick), "same" if named else None
        self.act(
            f"start of {workflow.id}",
            lambda: api.start(workflow, given, by="requester", idempotency_key=name, delay=delay),
            fate,
            then=lambda new: self.model.check_started(workflow.id, name, new.id),
        )

    @precondition(lambda self: self.started < MOST_STARTED)
    @rule(pick=picks, given=inputs, fate=fates)
    def run(self, pick: Pick, given: Input, fate: Fate) -> None:
        self.started += 1
        workflow = picked(self.kinds, pick)
        self.act(
            f"run of {workflow.id}",
            lambda: api.run(workflow, given),
            fate,
            refused=(ExecutionNotFound,),
        )

    @precondition(lambda self: self.waits)
    @rule(pick=picks, approved=st.booleans(), by=people, fate=short_fates)
    def decide(self, pick: Pick, approved: bool, by: str, fate: Fate) -> None:
        wait, is_alone = self.wait(pick), self.is_alone(fate)
        wanted = self.refusals(wait, by) if is_alone else REFUSED
        given: dict[str, Any] = {"response": by, "by": by}
        if wait.kind in {WaitKind.APPROVAL, WaitKind.CHILD}:  # another kind asks for no decision
            given["approved"] = approved
        actor = self.act(
            f"decision of {by} at {wait.step}",
            lambda: api.resume(wait.execution_id, step=wait.id, **given),
            fate,
            refused=wanted,
            then=lambda _: self.model.confirm(wait, by),
        )
        if is_alone and wait.kind != WaitKind.CHILD:
            assert bool(actor.error) == bool(wanted), f"{by} answered {wait.step}: {actor.error}"

    def refusals(self, wait: Wait, by: str) -> tuple[type[Exception], ...]:
        """Return how an answer must be refused; empty where it must be taken."""
        if wait.kind == WaitKind.CHILD:  # it goes to a wait of the child
            return REFUSED
        if wait.status != WaitStatus.OPEN:
            return (NotResumable, ExecutionNotFound)
        if wait.kind == WaitKind.APPROVAL:
            if by == self.seen[wait.execution_id].execution.started_by:
                return (NotAllowed,)
            if any(answer.by == by for answer in wait.answers):
                return (AlreadyResumed,)
        return ()

    @rule(key=keys, fate=short_fates)
    def send(self, key: str, fate: Fate) -> None:
        number, topic = self.model.next_event(key), f"paid:{key}"
        oldest = self.store.find_waits(kind=WaitKind.EVENT, key=topic)[:1]
        is_certain = self.is_alone(fate) and self.store.next_event(topic) is None
        self.act(
            f"event {number}",
            lambda: api.send_event("paid", key, number),
            fate,
            then=lambda _: self.model.confirmed.add(number),
        )
        for wait in oldest if is_certain else ():
            waits = {one.id: one for one in self.store.waits(wait.execution_id)}
            given = [answer.response for answer in waits[wait.id].answers]
            assert given == [number], "the oldest wait did not get the event"

    @precondition(lambda self: self.which(*UNDER_WAY))
    @rule(pick=picks, fate=short_fates)
    def cancel(self, pick: Pick, fate: Fate) -> None:
        name = picked(self.which(*UNDER_WAY), pick).execution.id
        is_alone = self.is_alone(fate)
        refused = () if is_alone else GONE
        is_certain = is_alone and not ending.all_chores(self.store)
        self.act("cancel", lambda: api.cancel(name), fate, refused=refused)
        if is_certain:  # nobody has died over a cancel before
            left = [one.id for one in self.family(name) if not one.status.is_final]
            assert not left, f"{name} is cancelled, and {left} go on"

    @precondition(lambda self: self.which(*RETRIED))
    @rule(pick=picks, step=st.none() | picks, given=st.none() | inputs, fate=short_fates)
    def retry(self, pick: Pick, step: Pick | None, given: Input | None, fate: Fate) -> None:
        one = picked(self.which(*RETRIED), pick)
        from_step = None if step is None else picked(steps_of(one), step)
        name, must = one.execution.id, from_step is not None or not self.undone(one)
        # Another step may lie behind an approval, or be none that it came to.
        may = must and from_step is None and given is None
        actor = self.act(
            f"retry from {from_step}",
            lambda: api.retry(name, from_step, given),
            fate,
            refused=GONE,
        )
        if self.is_alone(fate) and (may or not must):
            assert (actor.error is None) == may, f"retry of one {one.execution.status}"

    @precondition(lambda self: self.which(*SKIPPED))
    @rule(pick=picks, fate=short_fates)
    def skip(self, pick: Pick, fate: Fate) -> None:
        name = picked(self.which(*SKIPPED), pick).execution.id
        is_alone = self.is_alone(fate)
        # Some of what waits may be approvals, and by= is believed.
        work = partial(api.skip, name, "skipped", by="manager")
        actor = self.act("skip", work, fate, refused=GONE)
        if is_alone and actor.error is None:
            assert self.store.waits(name, status=WaitStatus.OPEN) == []

    @precondition(lambda self: self.seen and self.started < MOST_STARTED)
    @rule(pick=picks, step=picks, fate=short_fates)
    def fork(self, pick: Pick, step: Pick, fate: Fate) -> None:
        self.started += 1
        one = picked([*self.seen.values()], pick)
        name, from_step = one.execution.id, picked(steps_of(one), step)
        self.act("fork", lambda: api.fork(name, from_step), fate, refused=GONE)

    @precondition(lambda self: self.ended())
    @rule(pick=picks)
    def purge(self, pick: Pick) -> None:
        """Delete one that has ended, with its children."""
        name = picked(self.ended(), pick).execution.id
        family = self.family(name)
        assert self.store.delete(name)
        self.forget([one.id for one in family])

    # Workers and supervisors --------------------------------------------------------------------

    @precondition(lambda self: Post.messages)
    @rule(pick=picks, again=st.booleans(), fate=fates)
    def work(self, pick: Pick, again: bool, fate: Fate) -> None:
        """Deliver a message, which may be delivered once more later."""
        name = picked(Post.messages, pick)
        if not again:
            Post.messages.remove(name)
        actor = self.act(
            f"work on {name}", lambda: wiring.drive(name), fate, refused=(ExecutionNotFound,)
        )
        if actor.result is not None and not self.frozen:
            assert actor.result.status != ExecutionStatus.RUNNING

    @precondition(lambda self: Post.messages)
    @rule()
    def work_all(self) -> None:
        """Deliver every message, and what comes of it, with nothing in the way."""
        self.act("work on all", ending.deliver, RUN)

    @precondition(lambda self: self.which(ExecutionStatus.PENDING))
    @rule(limit=st.integers(1, 3), fate=fates)
    def poll(self, limit: int, fate: Fate) -> None:
        """Let a worker claim from the table."""

        def work() -> None:
            known = registry.ids()
            for claimed in self.store.claim_pending(new_owner(), LEASE, limit, workflow_ids=known):
                wiring.engine(registry[claimed.workflow_id]).drive_claimed(claimed)

        self.act("work from the table", work, fate, refused=(ExecutionNotFound,))

    @rule(is_new=st.booleans(), fate=short_fates)
    def sweep(self, is_new: bool, fate: Fate) -> None:
        if is_new:
            self.supervisor = Supervisor()
        self.act("sweep", self.supervisor.sweep, fate)

    # Accidents ----------------------------------------------------------------------------------

    @precondition(lambda self: Post.messages)
    @rule(pick=picks)
    def lose(self, pick: Pick) -> None:
        Post.messages.remove(picked(Post.messages, pick))

    @precondition(lambda self: self.frozen)
    @rule(pick=picks, fate=fates)
    def thaw(self, pick: Pick, fate: Fate) -> None:
        self.go_on(picked(self.frozen, pick), fate)

    @precondition(lambda self: self.frozen)
    @rule(pick=picks)
    def kill(self, pick: Pick) -> None:
        self.go_on(picked(self.frozen, pick), Fate(End.DIE))

    @precondition(lambda self: self.frozen)
    @rule()
    def beat(self) -> None:
        """Let the heartbeats of those who are only slow be heard."""
        for one in self.seen.values():
            name, fence = one.execution.id, one.execution.fence
            is_running = one.execution.status == ExecutionStatus.RUNNING
            assert self.store.renew(name, fence, LEASE) == is_running
            assert not self.store.renew(name, fence - 1, LEASE)

    @rule(seconds=st.sampled_from([6, 31, 61, 301]))
    def travel(self, seconds: int) -> None:
        clock.travel(timedelta(seconds=seconds))

    @rule()
    def weather(self) -> None:
        """Let the world stop to answer, or begin again."""
        world.world.is_down = not world.world.is_down

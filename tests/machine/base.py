"""What the rules of the machine stand on: who acts, what was seen, and what must hold."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant

from django_workflows import api, registry, wiring
from django_workflows.core import clock
from django_workflows.core.execution import FINAL_STATUSES, Execution, ExecutionStatus
from django_workflows.core.waits import Wait, WaitStatus
from django_workflows.supervisor import Supervisor
from tests.machine import ending, flows, invariants, world
from tests.machine.actors import RUN, Actor, End, Fate
from tests.machine.backends import Post
from tests.machine.model import Model
from tests.machine.seen import Seen, check_progress, is_by_hand

#: Executions that somebody starts in one example: rather a few with much happening to each.
MOST_STARTED = 5

#: Of what is chosen, the last come first: there the most can go wrong.
Pick = int


class Example(RuleBasedStateMachine):
    """One example: a store, a world, a model, and who acts upon them."""

    def __init__(self) -> None:
        super().__init__()
        wiring.forget()
        world.reset()
        Post.messages.clear()
        self.store: Any = wiring.store()
        self.store.clear()
        self.model = Model()
        self.supervisor = Supervisor()
        self.frozen: list[Actor] = []
        self.kinds: list[type] = []  # the workflows that this example is about
        self.started = 0
        self.lost = 0  # how often somebody may have fallen silent with a claim in hand
        self.seen: dict[str, Seen] = {}  # executions, oldest first
        self.waits: dict[str, Wait] = {}  # all there ever were, oldest first

    # Who acts -----------------------------------------------------------------------------------

    def act(
        self,
        name: str,
        work: Callable[[], Any],
        fate: Fate,
        *,
        refused: tuple[type[Exception], ...] = (),
        then: Callable[[Any], object] | None = None,
    ) -> Actor:
        """Let somebody do ``work``; ``then`` gets what it returned, once it has."""
        actor = Actor(name, work, refused=refused, then=then)
        self.go_on(actor, fate)
        return actor

    def go_on(self, actor: Actor, fate: Fate) -> None:
        """Let somebody go on, and look at what came of it."""
        if actor in self.frozen:
            self.frozen.remove(actor)
        actor.go(fate)
        self.lost += actor.is_frozen or actor.is_dead
        if actor.is_frozen:
            self.frozen.append(actor)
        elif actor.error is not None and not isinstance(actor.error, actor.refused):
            raise actor.error
        elif actor.error is None and not actor.is_dead and actor.then is not None:
            actor.then(actor.result)

    def is_alone(self, fate: Fate) -> bool:
        """Say whether nobody interferes, so that what happens can be told before."""
        return fate == RUN and not self.frozen

    # Whom and what it is done to ----------------------------------------------------------------

    def which(self, *statuses: str) -> list[Seen]:
        """Return the executions of these statuses, the last one first."""
        return [one for one in self.seen.values() if one.execution.status in statuses][::-1]

    def ended(self) -> list[Seen]:
        """Return the executions that have ended and are nobody's children."""
        return [one for one in self.which(*FINAL_STATUSES) if one.execution.parent is None]

    def forget(self, names: list[str]) -> None:
        """Expect nothing more of executions that were deleted; what they took stays taken."""
        for name in names:
            self.seen.pop(name, None)
        self.waits = {
            wait.id: replace(wait, status=WaitStatus.WITHDRAWN)
            if wait.execution_id in names
            else wait
            for wait in self.waits.values()
        }
        self.model.keys = {key: name for key, name in self.model.keys.items() if name not in names}

    def wait(self, pick: Pick) -> Wait:
        """Return one of the waits: rather an open one, and sometimes one of the last answered."""
        waits = [*self.waits.values()][::-1]
        is_open = [wait for wait in waits if wait.status == WaitStatus.OPEN]
        closed = [wait for wait in waits if wait.status != WaitStatus.OPEN]
        return picked(is_open + closed[:2], pick)

    def undone(self, one: Seen) -> bool:
        """Say whether something was compensated since it was last begun by hand."""
        for entry in reversed(one.entries):
            if is_by_hand(entry):
                return False
            if entry.action == "compensated":
                return True
        return False

    def family(self, name: str) -> list[Execution]:
        """Return an execution and all that are below it."""
        family = [self.store.load(name)]
        for child in self.store.find(parent=name, limit=1000):
            family += self.family(child.id)
        return family

    # What must hold -----------------------------------------------------------------------------

    @invariant()
    def holds(self) -> None:
        """Look at whatever was written since the last look."""
        news = [*self.store.news()]
        noted = self.store.noted() if news else {}
        for now in news:
            name = now.execution.id
            if name in self.seen:
                check_progress(self.seen[name], now)
            invariants.check(now, noted)
            self._check_losses(now)
            self.seen[name] = now
            self.waits.update((wait.id, wait) for wait in now.waits)
        self.model.check_answers(self.waits)

    def _check_losses(self, one: Seen) -> None:
        """Assert that claims count, and effects happen again, only where somebody was lost."""
        execution = one.execution
        is_held = execution.status == ExecutionStatus.RUNNING
        assert execution.claims <= self.lost + is_held, f"{execution.id}: {execution.claims} claims"
        attempts = Counter(
            entry.step_id for entry in one.entries if entry.action in invariants.ATTEMPTS
        )
        for key, calls in world.world.calls.items():
            name, path = key[:36], key[37:]
            if name == execution.id:
                assert calls <= attempts[path] + self.lost, f"{key} was done {calls} times"

    def teardown(self) -> None:
        """Bring everything to its end, where nothing was wrong so far."""
        try:
            if sys.exc_info()[0] is None:
                self.come_to_an_end()
        finally:
            for actor in [*self.frozen]:
                actor.go(Fate(End.DIE))
            clock.reset()

    def come_to_an_end(self) -> None:
        """Let everybody go on, everything come to rest, and then to its end."""
        while self.frozen:
            self.go_on(self.frozen[0], RUN)
            self.holds()
        ending.rest(self.store)
        self.holds()
        ending.check_rest(self.store, self.seen)
        world.world.is_down = False
        ending.finish(self.store)
        self.holds()
        ending.check_end(self.store, self.seen)
        for key in self.model.left(self.waits):
            api.start(flows.Eater, {"key": key, "is_bad": False})
        ending.rest(self.store)
        self.holds()
        self.model.check_none_lost(self.waits)


def picked(choices: list[Any], pick: Pick) -> Any:
    """Return one of the choices."""
    return choices[pick % len(choices)]


def steps_of(one: Seen) -> list[str]:
    """Return the steps at which an execution was, or is, of its workflow's own."""
    known = registry[one.execution.workflow_id].graph.steps
    entered = {entry.step_id.partition("/")[0].partition("[")[0] for entry in one.entries}
    return [step for step in known if step in entered] or [*known]

"""What lies outside the engine: what steps did there, and whether it answers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django_workflows import wiring
from django_workflows.core.execution import State
from tests.machine.actors import pass_by


class World:
    """Remembers what was done to it, and under which idempotency keys."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.items: dict[str, Any] = {}  # by key, for what it was used
        self.is_down = False

    def do(self, state: State) -> str:
        """Have an effect, as often as this is called."""
        key = state.idempotency_key
        meant = (state.current_step, state.ctx.get("item"))
        if self.items.setdefault(key, meant) != meant:
            raise AssertionError(f"Key {key} was used for {self.items[key]} and for {meant}.")
        self.calls[key] += 1
        return state.path


#: The only one, for one example at a time.
world = World()


def reset() -> None:
    """Begin a new world."""
    world.__init__()  # type: ignore[misc]


def work(state: State) -> str:
    """Have an effect outside; the process may die before and after it."""
    pass_by(f"before the effect of {state.path}")
    done = world.do(state)
    pass_by(f"after the effect of {state.path}")
    return done


def shaky(state: State) -> str:
    """See work(). Raise where the world does not answer, or the order is one it will not have."""
    done = work(state)
    _refuse(state)
    return done


def undo(state: State) -> str:
    """See work(). Raise where the world does not answer."""
    done = work(state)
    if world.is_down:
        raise ConnectionError(AWAY)
    return done


def book(state: State) -> str:
    """Have an effect in the store's own database; the step is ``atomic``."""
    wiring.store().note(state.idempotency_key)  # type: ignore[attr-defined]
    pass_by(f"after the note of {state.path}", may_freeze=False)
    return state.path


def shaky_book(state: State) -> str:
    """See book() and shaky(): it raises after its effect, which is rolled back."""
    booked = book(state)
    _refuse(state)
    return booked


def _refuse(state: State) -> None:
    if world.is_down:
        raise ConnectionError(AWAY)
    if state.input["is_bad"]:
        raise ValueError("the world will not have this order")


AWAY = "the world does not answer"

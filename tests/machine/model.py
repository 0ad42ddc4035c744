"""What the users of the machine were promised, and so may rely on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from django_workflows.core.waits import Cause, Wait, WaitKind


@dataclass(slots=True)
class Model:
    """Remembers what was asked for, and of that, what was confirmed."""

    keys: dict[tuple[str, str], str] = field(default_factory=dict)  # execution by idempotency key
    sent: dict[int, str] = field(default_factory=dict)  # the key of each event, by its number
    confirmed: set[int] = field(default_factory=set)  # events whose sender was told: it is sent
    answered: dict[str, list[str]] = field(default_factory=dict)  # people, by wait

    def next_event(self, key: str) -> int:
        """Return the number of a new event."""
        number = len(self.sent) + 1
        self.sent[number] = key
        return number

    def check_started(self, workflow: str, key: str | None, execution_id: str) -> None:
        """Assert that one key is one execution."""
        if key is not None:
            assert self.keys.setdefault((workflow, key), execution_id) == execution_id

    def confirm(self, wait: Wait, by: str) -> None:
        """Remember that somebody was told: the answer is taken."""
        if wait.kind != WaitKind.CHILD:  # it went to one of the child's
            self.answered.setdefault(wait.id, []).append(by)

    def check_answers(self, waits: Mapping[str, Wait]) -> None:
        """Assert that each confirmed answer is there, and that no event was taken twice."""
        for wait_id, people in self.answered.items():
            given = [answer.by for answer in waits[wait_id].answers]
            lost = [person for person in people if person not in given]
            assert not lost, f"answers of {lost} at {waits[wait_id].step} are lost"
        twice = [number for number, count in self._taken(waits).items() if count > 1]
        assert not twice, f"events {twice} were taken more than once"

    def _taken(self, waits: Mapping[str, Wait]) -> Counter[int]:
        """Return how often each event was taken."""
        return Counter(
            answer.response
            for wait in waits.values()
            for answer in wait.answers
            if answer.cause == Cause.EVENT and answer.response in self.sent
        )

    def left(self, waits: Mapping[str, Wait]) -> list[str]:
        """Return the keys of the events that nobody has taken."""
        taken = self._taken(waits)
        return [key for number, key in self.sent.items() if number not in taken]

    def check_none_lost(self, waits: Mapping[str, Wait]) -> None:
        """Assert that every confirmed event was taken, once enough have waited for it."""
        lost = self.confirmed - set(self._taken(waits))
        assert not lost, f"events {lost} are lost"

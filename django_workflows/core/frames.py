"""
Where an execution stands inside nested steps, typed.

A *scope* is a run of steps under one roof: the workflow itself, the body of a loop, a branch of a
parallel. Each scope has a Cursor. A step that has more to remember than "I am next" keeps a frame
on the cursor: a loop its index and results, a parallel its branches, a wait what was asked.
Steps never see any of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django_workflows.core import codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where one scope stands."""

    at: str | None = None  # the step that is next or under way; None before the first
    attempt: int = 1  # which attempt at that step
    frame: Frame | None = None  # what that step has reached inside
    last: str | None = None  # ctx key of the latest output of the scope
    output: Any = None  # that output itself, where it has no ctx key
    visits: Mapping[str, int] = field(default_factory=dict)  # entries to steps that lie on a cycle
    rescue: bool = False  # the step was reached by on_error, so ctx holds _last_error
    outer_error: Any = None  # the _last_error of an on_error step around this scope
    end: str | None = None  # how the scope ended: "end", "break" or "continue"
    retries: int = 0  # at the root: how often somebody had it driven again

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data; what has its default is left out."""
        written = {
            "at": self.at,
            "attempt": self.attempt,
            "frame": self.frame and self.frame.to_dict(),
            "last": self.last,
            "output": codec.encode(self.output),
            "visits": dict(self.visits),
            "retries": self.retries,
            "rescue": self.rescue,
            "outer_error": codec.encode(self.outer_error),
            "end": self.end,
        }
        return {name: value for name, value in written.items() if value != _DEFAULTS[name]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cursor:
        """Return the cursor that to_dict() was called on."""
        frame = data.get("frame")
        return cls(
            at=data.get("at"),
            attempt=data.get("attempt", 1),
            frame=frame_from_dict(frame) if frame else None,
            last=data.get("last"),
            output=codec.decode(data.get("output")),
            visits=data.get("visits", {}),
            rescue=data.get("rescue", False),
            outer_error=codec.decode(data.get("outer_error")),
            end=data.get("end"),
            retries=data.get("retries", 0),
        )

    def result(self, ctx: Mapping[str, Any]) -> Any:
        """Return the output of the scope's last step that had one."""
        return self.output if self.last is None else ctx.get(self.last)


_DEFAULTS: dict[str, Any] = {
    "at": None,
    "attempt": 1,
    "frame": None,
    "last": None,
    "output": None,
    "visits": {},
    "retries": 0,
    "rescue": False,
    "outer_error": None,
    "end": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFrame:
    """A loop: which iteration it is in, and what the ones before left."""

    index: int = 0  # from 0
    items: tuple[Any, ...] | None = None  # what it goes over; None in a while loop
    results: tuple[Any, ...] = ()  # one for each finished iteration
    hidden: Mapping[str, Any] = field(default_factory=dict)  # ctx keys that its own names hide
    body: Cursor = field(default_factory=Cursor)

    def to_dict(self) -> dict[str, Any]:
        """See Cursor.to_dict()."""
        return {
            "kind": "loop",
            "index": self.index,
            "items": None if self.items is None else [codec.encode(item) for item in self.items],
            "results": [codec.encode(result) for result in self.results],
            "hidden": {key: codec.encode(value) for key, value in self.hidden.items()},
            "body": self.body.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LoopFrame:
        """See Cursor.from_dict()."""
        items = data["items"]
        return cls(
            index=data["index"],
            items=None if items is None else tuple(codec.decode(item) for item in items),
            results=tuple(codec.decode(result) for result in data["results"]),
            hidden={key: codec.decode(value) for key, value in data["hidden"].items()},
            body=Cursor.from_dict(data["body"]),
        )


class BranchStatus(StrEnum):
    """How far a branch of a parallel has come."""

    WAITING = "waiting"  # not begun
    RUNNING = "running"  # begun, and neither done nor halted
    HALTED = "halted"  # waits for an answer
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchFrame:
    """One branch of a parallel."""

    status: BranchStatus = BranchStatus.WAITING
    body: Cursor = field(default_factory=Cursor)
    changes: Mapping[str, Any] = field(default_factory=dict)  # ctx keys that the branch has set
    removed: tuple[str, ...] = ()  # ctx keys that it has dropped
    output: Any = None  # once done
    error: str | None = None  # once failed

    def to_dict(self) -> dict[str, Any]:
        """See Cursor.to_dict()."""
        return {
            "status": self.status.value,
            "body": self.body.to_dict(),
            "changes": {key: codec.encode(value) for key, value in self.changes.items()},
            "removed": list(self.removed),
            "output": codec.encode(self.output),
            "error": self.error,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BranchFrame:
        """See Cursor.from_dict()."""
        return cls(
            status=BranchStatus(data["status"]),
            body=Cursor.from_dict(data["body"]),
            changes={key: codec.decode(value) for key, value in data["changes"].items()},
            removed=tuple(data["removed"]),
            output=codec.decode(data["output"]),
            error=data["error"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelFrame:
    """A parallel: its branches by name, in their order."""

    branches: Mapping[str, BranchFrame]

    def to_dict(self) -> dict[str, Any]:
        """See Cursor.to_dict()."""
        branches = {name: branch.to_dict() for name, branch in self.branches.items()}
        return {"kind": "parallel", "branches": branches}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ParallelFrame:
        """See Cursor.from_dict()."""
        branches = data["branches"].items()
        return cls(branches={name: BranchFrame.from_dict(branch) for name, branch in branches})


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFrame:
    """What any other step keeps between its halt and its answer: plain data of its own."""

    data: Mapping[str, Any] = field(default_factory=dict)
    halted: bool = False  # a wait of this step is open or answered

    def to_dict(self) -> dict[str, Any]:
        """See Cursor.to_dict()."""
        return {"kind": "step", "data": codec.encode(dict(self.data)), "halted": self.halted}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StepFrame:
        """See Cursor.from_dict()."""
        return cls(data=codec.decode(data["data"]), halted=data["halted"])


Frame = LoopFrame | ParallelFrame | StepFrame

_KINDS: dict[str, type[LoopFrame | ParallelFrame | StepFrame]] = {
    "loop": LoopFrame,
    "parallel": ParallelFrame,
    "step": StepFrame,
}


def frame_from_dict(data: Mapping[str, Any]) -> Frame:
    """Return the frame that was written by its to_dict()."""
    return _KINDS[data["kind"]].from_dict(data)

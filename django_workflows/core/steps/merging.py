"""How what several branches have set becomes one ctx."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from django_workflows.core.frames import BranchFrame
from django_workflows.exceptions import MergeConflict

#: Decides between two branches that set one key: ``rule(key, earlier, later)`` in branch order.
MergeRule = Literal["error", "first", "last"] | Callable[[str, Any, Any], Any]

MISSING = object()


def merged(
    name: str, rule: MergeRule, before: Mapping[str, Any], branches: Mapping[str, BranchFrame]
) -> dict[str, Any]:
    """Return ctx once what ``branches`` of the step ``name`` did is in it. Raise MergeConflict."""
    ctx = dict(before)
    owner: dict[str, str] = {}
    for branch, frame in branches.items():
        for key in frame.removed:
            if key not in owner:
                ctx.pop(key, None)
        for key, value in frame.changes.items():
            clash = key in owner and ctx.get(key, MISSING) != value
            if clash and rule == "error":
                raise MergeConflict(
                    f"Branches {owner[key]!r} and {branch!r} of {name!r} both set {key!r}:"
                    f" {ctx.get(key)!r} and {value!r}. Give one another output=, or a merge rule."
                )
            ctx[key] = _decided(rule, key, ctx.get(key), value) if clash else value
            owner[key] = branch
    return ctx


def _decided(rule: MergeRule, key: str, earlier: Any, later: Any) -> Any:
    if callable(rule):
        return rule(key, earlier, later)
    return earlier if rule == "first" else later

"""Placeholder until the graph export lands (it is being written)."""

from __future__ import annotations

from typing import Any


def export(definition: Any) -> dict[str, Any]:
    return {"id": definition.id}

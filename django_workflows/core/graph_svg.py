"""
The graph as a picture: an SVG that stands by itself.

It holds no script, no style and nothing from elsewhere, so that it may stand inline under a strict
Content-Security-Policy. Its ink is ``currentColor``: what is readable around it, light or dark, is
readable in it. What was taken and where an execution stands shows by colour and by shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from django_workflows.core.definition import plain_path
from django_workflows.core.graph_layout import Band, Layout, Size, layout
from django_workflows.core.graph_shapes import (
    CURRENT,
    TAKEN,
    arrow,
    badge,
    clipped,
    curve,
    element,
    inset,
    outline,
    text,
    text_width,
)

_DASHES = {"on_error": "6 4", "compensate": "2 4"}
_MARGIN, _HEADER, _PADDING = 16.0, 34.0, 14.0
_HEIGHTS = {"decision": 58.0}
_START, _LABEL, _END = "start", "label", "end"


def svg(graph: Mapping[str, Any], *, taken: Iterable[str] = (), current: str | None = None) -> str:
    """
    Return an exported graph as an SVG element.

    ``taken`` are the paths of the steps that were done, in their order, and ``current`` is the
    path of the one where the execution stands; numbers of iterations in them do not matter.
    """
    trace = Trace(tuple(map(plain_path, taken)), None if current is None else plain_path(current))
    picture = _Picture(graph, "", trace)
    width, height = picture.width + 2 * _MARGIN, picture.height + 2 * _MARGIN
    name = f"{graph['name']} {graph['version']}".strip()
    return element(
        "svg",
        element("title", clipped(name, 200)),
        *picture.at(_MARGIN, _MARGIN),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=round(width),
        height=round(height),
        role="img",
        aria_label=f"Workflow {name}",
        font_family="system-ui, -apple-system, 'Segoe UI', sans-serif",
        fill="none",
    )


@dataclass(frozen=True)
class Trace:
    """Which way an execution has gone, and where it stands."""

    taken: tuple[str, ...]
    current: str | None

    def mark(self, path: str) -> str:
        """Return "current", "within" (it stands inside), "taken" or nothing."""
        if path == self.current:
            return "current"
        if self.current is not None and self.current.startswith(f"{path}/"):
            return "within"
        return "taken" if path in self._done else ""

    def goes(self, source: str, target: str) -> bool:
        """Say whether it went from one step straight to the other."""
        return (source, target) in self._moves

    @cached_property
    def _done(self) -> frozenset[str]:
        return frozenset(self.taken)

    @cached_property
    def _moves(self) -> frozenset[tuple[str, str]]:
        moves: set[tuple[str, str]] = set()
        last: dict[str, str] = {}  # by scope: what runs in another one lies between
        here = [self.current] if self.current is not None else []
        around = [path for path in self._around if path not in self._done]
        for path in (*self.taken, *around, *here):
            scope = path.rpartition("/")[0]
            if scope in last:
                moves.add((last[scope], path))
            last[scope] = path
        return frozenset(moves)

    @property
    def _around(self) -> list[str]:
        parts = (self.current or "").split("/")
        return ["/".join(parts[:end]) for end in range(1, len(parts))]


class _Picture:
    """One scope, drawn; what is nested in its steps is a picture within."""

    def __init__(self, graph: Mapping[str, Any], scope: str, trace: Trace) -> None:
        self.trace = trace
        self.nodes = {node["id"]: node for node in graph["nodes"] if node["scope"] == scope}
        self.inner = {
            path: [(inner, _Picture(graph, inner, trace)) for inner in node["scopes"]]
            for path, node in self.nodes.items()
            if node["shape"] == "group"
        }
        self.edges = _together(
            edge
            for edge in graph["edges"]
            if edge["from"] in self.nodes and edge["to"] in self.nodes
        )
        self.exits = [
            way
            for way in graph["exits"]
            if way["from"] in self.nodes and (not scope or (way["to"], way["kind"]) != ("end", "next"))
        ]
        self.boxes: dict[str, Size] = {path: self._size(path) for path in self.nodes}
        self.has_start = not scope and next(iter(self.nodes.values()), {}).get("type") != "start"
        self.lines = self._lines()
        self.layout: Layout = layout(self.boxes, list(self.lines))

    @property
    def width(self) -> float:
        return self.layout.width

    @property
    def height(self) -> float:
        return self.layout.height

"""
The graph as a picture: an SVG that stands by itself.

It holds no script, no style and nothing from elsewhere, so that it may stand inline under a strict
Content-Security-Policy. Its ink is ``currentColor``: what is readable around it, light or dark, is
readable in it. What was taken and where an execution stands shows by colour and by shape.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django_workflows.core.definition import plain_path
from django_workflows.core.graph.layout import Size, layout
from django_workflows.core.graph.shapes import (
    TAKEN,
    Mark,
    badge,
    corner,
    curve,
    edge_of,
    element,
    outline,
    reach,
    safe,
    tally,
    text,
    text_width,
)
from django_workflows.core.graph.trace import Trace

_MARGIN, _HEADER, _PADDING, _BRANCH_GAP = 18.0, 40.0, 18.0, 22.0
_BOX, _DIAMOND, _LABEL, _PILL, _DOT = 46.0, 58.0, 16.0, 22.0, 14.0
_DASHES = {"on_error": "6 4", "compensate": "2 4"}
_MOST_APART = 22.0  # of two lines at one edge


def svg(
    graph: Mapping[str, Any],
    *,
    taken: Iterable[str] = (),
    current: str | None = None,
    marks: Mapping[str, Mark] | None = None,
    visits: Mapping[str, int] | None = None,
    said: Mapping[Mark, str] | None = None,
) -> str:
    """
    Return an exported graph as an SVG element.

    ``taken`` are the paths of the steps that were done, in their order, and ``current`` is the
    path of the one where the execution stands; numbers of iterations in them do not matter. By
    path without such numbers, ``marks`` says what else is to be seen on a step, and ``visits``
    how often it was done. ``said`` puts marks into words, for the titles.
    """
    trace = Trace(
        map(plain_path, taken), None if current is None else plain_path(current), marks, visits
    )
    picture = _Picture(graph, "", trace, {**_SAID, **(said or {})})
    width, height = picture.size[0] + 2 * _MARGIN, picture.size[1] + 2 * _MARGIN
    name = f"{graph['name']} {graph['version']}"
    return element(
        "svg",
        element("title", safe(name)),
        _moved(_MARGIN, _MARGIN, picture.drawn()),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=round(width),
        height=round(height),
        role="img",
        aria_label=f"Workflow {name}",
        font_family="system-ui, -apple-system, 'Segoe UI', sans-serif",
        fill="none",
    )


@dataclass(frozen=True, slots=True)
class _Stroke:
    """How one line is drawn."""

    kind: str
    is_taken: bool
    has_head: bool = True

    def ink(self) -> dict[str, Any]:
        dashes = _DASHES.get(self.kind)
        if self.is_taken:
            return {"stroke": TAKEN, "stroke_width": 2.6, "stroke_dasharray": dashes}
        return {
            "stroke": "currentColor",
            "stroke_opacity": 0.6,
            "stroke_width": 1.3,
            "stroke_dasharray": dashes,
        }


@dataclass(frozen=True, slots=True)
class _Box:
    """A place in the layout: a step, or what stands for a start, an end or a label."""

    shape: str
    size: Size
    markup: str


class _Picture:
    """One scope, drawn; what is nested in its steps is a picture within."""

    def __init__(
        self, graph: Mapping[str, Any], scope: str, trace: Trace, said: Mapping[Mark, str]
    ) -> None:
        self.graph = graph
        self.trace = trace
        self.said = said
        self.boxes: dict[str, _Box] = {}
        self.strokes: dict[tuple[str, str], _Stroke] = {}
        nodes = [node for node in graph["nodes"] if node["scope"] == scope]
        if not scope and nodes and nodes[0]["type"] != "start":
            self._add_start(nodes[0]["id"])
        for node in nodes:
            self.boxes[node["id"]] = self._step(node)
        self._add_edges({node["id"] for node in nodes})
        self._add_exits({node["id"] for node in nodes}, nested=bool(scope))
        sizes = {name: box.size for name, box in self.boxes.items()}
        self.layout = layout(sizes, list(self.strokes))
        self.size: Size = (self.layout.width, self.layout.height)

    # What stands in it --------------------------------------------------------------------------

    def _step(self, node: Mapping[str, Any]) -> _Box:
        mark = self.trace.mark(node["id"])
        if node["shape"] == "group":
            size, inside = self._group(node)
        else:
            size, inside = _plain(node)
        title = ", ".join(filter(None, [f"{node['id']} ({node['type']})", self.said[mark]]))
        told = f"{title}: {node['description']}" if node["description"] else title
        markup = element(
            "g",
            element("title", safe(told)),
            outline(node["shape"], size, mark),
            inside,
            _moved(*corner(node["shape"], size), badge(mark)),
            _moved(*_opposite(node["shape"], size), tally(self.trace.visits(node["id"]))),
            data_step=node["id"],
            data_mark=mark or None,
        )
        return _Box(node["shape"], size, markup)

    def _group(self, node: Mapping[str, Any]) -> tuple[Size, str]:
        """Return a step that holds others: a header, and the pictures side by side."""
        pictures = [
            (scope, _Picture(self.graph, scope, self.trace, self.said)) for scope in node["scopes"]
        ]
        is_branch = any(scope != node["id"] for scope, _ in pictures)
        above = _HEADER + (24 if is_branch else 0)
        title = 50 + text_width(node["name"], 13) + text_width(node["type"], 11)
        inner = sum(picture.size[0] for _, picture in pictures)
        gaps = _BRANCH_GAP * (len(pictures) - 1) if pictures else 0
        width = max(title, inner + gaps + 2 * _PADDING)
        height = above + max((picture.size[1] for _, picture in pictures), default=0) + _PADDING
        left = -width / 2
        parts = [
            text(left + 18, -height / 2 + 24, node["name"], font_weight="600", text_anchor="start"),
            text(
                width / 2 - 16,
                -height / 2 + 24,
                node["type"],
                size=11,
                faint=True,
                text_anchor="end",
            ),
        ]
        x = -(inner + gaps) / 2
        for scope, picture in pictures:
            if is_branch:
                middle = x + picture.size[0] / 2
                parts.append(
                    text(middle, -height / 2 + 50, scope.rpartition("/")[2], size=11, faint=True)
                )
            parts.append(_moved(x, -height / 2 + above, picture.drawn()))
            x += picture.size[0] + _BRANCH_GAP
        return (width, height), "".join(parts)

    def _add_start(self, first: str) -> None:
        dot = element("circle", r=_DOT / 2, fill="currentColor")
        self.boxes["\0start"] = _Box("terminal", (_DOT, _DOT), dot)
        was_there = bool(self.trace.mark(first))
        self.strokes["\0start", first] = _Stroke("next", was_there)

    # What joins it ------------------------------------------------------------------------------

    def _add_edges(self, inside: set[str]) -> None:
        joined: dict[tuple[str, str], list[Mapping[str, str]]] = defaultdict(list)
        for edge in self.graph["edges"]:
            if edge["from"] in inside and edge["to"] in inside:
                joined[edge["from"], edge["to"]].append(edge)
        for (source, target), edges in joined.items():
            label = ", ".join(dict.fromkeys(edge["label"] for edge in edges if edge["label"]))
            stroke = _Stroke(edges[0]["kind"], self.trace.goes(source, target))
            self._join(source, target, label, stroke)

    def _add_exits(self, inside: set[str], *, nested: bool) -> None:
        for number, way in enumerate(self.graph["exits"]):
            if way["from"] not in inside or (
                nested and way["to"] == "end" and way["kind"] == "next"
            ):
                continue
            end = f"\0end {number}"
            self.boxes[end] = _end(way["to"])
            self._join(way["from"], end, way["label"], _Stroke(way["kind"], is_taken=False))

    def _join(self, source: str, target: str, label: str, stroke: _Stroke) -> None:
        """Join two boxes; a label, or a line back to the same box, is a box on the way."""
        if not label and source != target:
            self.strokes[source, target] = stroke
            return
        between = f"\0label {source}\0{target}"
        markup = text(0, 4, label, size=11, faint=True) if label else ""
        self.boxes[between] = _Box("label", (max(24, text_width(label, 11) + 8), _LABEL), markup)
        self.strokes[source, between] = _Stroke(stroke.kind, stroke.is_taken, has_head=False)
        self.strokes[between, target] = stroke

    # Drawing ------------------------------------------------------------------------------------

    def drawn(self) -> str:
        """Return the markup, from 0 to the right and down: lines first, boxes over them."""
        boxes = (_moved(*self.layout.centres[name], box.markup) for name, box in self.boxes.items())
        return "".join([*self._lines(), *boxes])

    def _lines(self) -> Iterator[str]:
        ports = self._ports()
        for line, stroke in self.strokes.items():
            start, end = ports[line, 0], ports[line, 1]
            bands = self.layout.bands[line]
            yield curve(start, end, bands, has_head=stroke.has_head, **stroke.ink())

    def _ports(self) -> dict[tuple[tuple[str, str], int], tuple[float, float]]:
        """Return where each line touches its boxes, so that no two touch at one point."""
        sides: dict[tuple[str, bool], list[tuple[float, tuple[str, str], int]]] = defaultdict(list)
        for line in self.strokes:
            bands = self.layout.bands[line]
            is_down = bands[0].leaves > bands[0].enters
            sides[line[0], is_down].append((bands[1].x, line, 0))
            sides[line[1], not is_down].append((bands[-2].x, line, 1))
        found = {}
        for (name, is_below), touching in sides.items():
            box, (x, y) = self.boxes[name], self.layout.centres[name]
            room = reach(box.shape, box.size)
            apart = min(_MOST_APART, 2 * room / max(1, len(touching) - 1))
            for place, (_, line, end) in enumerate(sorted(touching)):
                offset = (place - (len(touching) - 1) / 2) * apart
                depth = edge_of(box.shape, box.size, offset)
                found[line, end] = (x + offset, y + depth if is_below else y - depth)
        return found


_SAID: dict[Mark, str] = {
    "": "",
    "taken": "done",
    "within": "the execution stands inside",
    "current": "the execution stands here",
    "waiting": "waits",
    "failed": "failed",
    "skipped": "skipped",
    "undone": "was undone",
}


def _opposite(shape: str, size: Size) -> tuple[float, float]:
    """Return where the number of visits stands: across from the badge."""
    x, y = corner(shape, size)
    return -x, y


def _plain(node: Mapping[str, Any]) -> tuple[Size, str]:
    """Return a step without others in it: its name and its kind."""
    width = max(text_width(node["name"], 13.5), text_width(node["type"], 11))
    if node["shape"] == "decision":
        return (max(110, width * 1.45 + 30), _DIAMOND), text(
            0, 4.5, node["name"], font_weight="600"
        )
    name = text(0, -2, node["name"], font_weight="600")
    kind = text(0, 14, node["type"], size=11, faint=True)
    return (max(96, width + (52 if node["shape"] == "wait" else 36)), _BOX), name + kind


def _end(word: str) -> _Box:
    if word == "end":
        ring = element("circle", r=_DOT / 2, stroke="currentColor", stroke_width=1.5)
        return _Box("terminal", (_DOT, _DOT), ring + element("circle", r=3.6, fill="currentColor"))
    size = (text_width(word, 11) + 24, _PILL)
    return _Box("terminal", size, outline("terminal", size) + text(0, 4, word, size=11))


def _moved(x: float, y: float, markup: str) -> str:
    return element("g", markup, transform=f"translate({x:.1f},{y:.1f})") if markup else ""

"""Where boxes stand and how lines go: in layers from top to bottom, by grandalf."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from grandalf.graphs import Edge, Vertex, graph_core
from grandalf.layouts import SugiyamaLayout, VertexViewer

Size = tuple[float, float]
Line = tuple[str, str]

GAP_X, GAP_Y = 26.0, 40.0
_BEND: Size = (10.0, 1.0)
_EYE_LEVEL = 30.0
#: How often the order within the layers is improved; more changes hardly anything.
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Band:
    """A layer as a line passes it: at ``x``, from ``enters`` to ``leaves``."""

    x: float
    enters: float
    leaves: float


@dataclass(slots=True)
class Layout:
    """The centres of the boxes, the bands of the lines, and the size of it all."""

    centres: dict[str, tuple[float, float]] = field(default_factory=dict)
    bands: dict[Line, list[Band]] = field(default_factory=dict)
    width: float = 0.0
    height: float = 0.0


def layout(sizes: Mapping[str, Size], lines: Sequence[Line]) -> Layout:
    """
    Place boxes of the given sizes so that the lines go down where they can.

    Each line joins two different boxes, and no two lines join the same ones in one direction.
    What is not joined stands side by side. The same input gives the same layout.
    """
    whole = Layout()
    for names in _components(sizes, lines):
        inside = {*names}
        part = _Component(names, sizes, [line for line in lines if line[0] in inside]).place()
        shift = whole.width + (GAP_X if whole.centres else 0)
        whole.centres |= {name: (x + shift, y) for name, (x, y) in part.centres.items()}
        whole.bands |= {
            line: [Band(band.x + shift, band.enters, band.leaves) for band in bands]
            for line, bands in part.bands.items()
        }
        whole.width = part.width + shift
        whole.height = max(whole.height, part.height)
    return whole


def _components(sizes: Iterable[str], lines: Sequence[Line]) -> list[list[str]]:
    """Return the boxes that hang together, in the order of their first ones."""
    near: dict[str, list[str]] = {name: [] for name in sizes}
    for source, target in lines:
        near[source].append(target)
        near[target].append(source)
    found: list[list[str]] = []
    seen: set[str] = set()
    for start in near:
        todo, together = [start], set[str]()
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                together.add(name)
                todo.extend(near[name])
        if together:
            found.append([name for name in near if name in together])
    return found


class _Component:
    """Boxes that hang together, as grandalf places them."""

    def __init__(self, names: list[str], sizes: Mapping[str, Size], lines: list[Line]) -> None:
        self.names = names
        self.back = _back(names, lines)
        self.vertices = {name: _vertex(name, sizes[name]) for name in names}
        #: For each line the vertices it passes, from above to below.
        self.chains: dict[Line, list[Vertex]] = {}
        touching = Counter(name for line in lines for name in line)
        for line in lines:
            upper, lower = (
                self.vertices[name] for name in (line[::-1] if line in self.back else line)
            )
            # A line up goes around, by a bend of its own, so that it is none of the lines down;
            # but what hangs on one box alone is near enough for both to go side by side.
            hangs = touching[line[0]] == 2 and line[::-1] in self.chains  # noqa: PLR2004
            bends = [_vertex(f"{line}", _BEND)] if line in self.back and not hangs else []
            self.chains[line] = [upper, *bends, lower]
        self.edges = {
            (upper, lower): Edge(upper, lower)
            for chain in self.chains.values()
            for upper, lower in pairwise(chain)
        }

    def place(self) -> Layout:
        """Return the layout, from 0 to the right and down."""
        every = dict.fromkeys(
            [
                *self.vertices.values(),
                *(vertex for chain in self.chains.values() for vertex in chain),
            ]
        )
        sugiyama = SugiyamaLayout(graph_core([*every], [*self.edges.values()]))
        sugiyama.xspace, sugiyama.yspace = GAP_X, GAP_Y
        sugiyama.dw, sugiyama.dh = _BEND
        entered = {lower for _, lower in self.edges}
        sugiyama.init_all(
            roots=[vertex for vertex in every if vertex not in entered], inverted_edges=[]
        )
        sugiyama.draw(_ROUNDS)
        return self._read(sugiyama)

    def _read(self, sugiyama: SugiyamaLayout) -> Layout:
        found = Layout()
        for layer in sugiyama.layers:
            _spread(layer)
        left = min(v.view.xy[0] - v.view.w / 2 for layer in sugiyama.layers for v in layer)
        limits = []
        for layer in sugiyama.layers:
            tallest = max(layer, key=lambda v: v.view.h).view
            top, height = tallest.xy[1] - tallest.h / 2, tallest.h
            limits.append((top, top + height))
            for vertex in layer:
                # Beside a tall box, others stand at its top: they are looked for there.
                y = top + max(vertex.view.h / 2, min(height / 2, _EYE_LEVEL))
                vertex.view.xy = (vertex.view.xy[0] - left, y)
                found.width = max(found.width, vertex.view.xy[0] + vertex.view.w / 2)
        found.height = limits[-1][1]
        found.centres = {name: self.vertices[name].view.xy for name in self.names}
        for line, chain in self.chains.items():
            found.bands[line] = self._bands(sugiyama, line, chain, limits)
        return found

    def _bands(
        self,
        sugiyama: SugiyamaLayout,
        line: Line,
        chain: list[Vertex],
        limits: list[tuple[float, float]],
    ) -> list[Band]:
        passed: list[tuple[int, float]] = []
        for upper, lower in pairwise(chain):
            first, last = sugiyama.grx[upper].rank, sugiyama.grx[lower].rank
            between = sugiyama.ctrls.get(self.edges[upper, lower], {})
            passed.append((first, upper.view.xy[0]))
            passed += [(rank, between[rank].view.xy[0]) for rank in range(first + 1, last)]
        passed.append((last, lower.view.xy[0]))
        bands = [Band(x, *limits[rank]) for rank, x in passed]
        if line in self.back:
            return [Band(band.x, band.leaves, band.enters) for band in reversed(bands)]
        return bands


def _vertex(name: str, size: Size) -> Vertex:
    vertex = Vertex(name)
    vertex.view = VertexViewer(*size)
    return vertex


def _spread(layer: Sequence[Vertex]) -> None:
    """Push apart what overlaps: grandalf takes the mean of several layouts, which may."""
    edge = None
    for vertex in layer:
        x, y = vertex.view.xy
        if edge is not None:
            x = max(x, edge + GAP_X / 2 + vertex.view.w / 2)
            vertex.view.xy = (x, y)
        edge = x + vertex.view.w / 2


def _back(names: Sequence[str], lines: Sequence[Line]) -> set[Line]:
    """Return the lines that lead back up, in the order in which the boxes are given."""
    after: dict[str, list[str]] = {name: [] for name in names}
    for source, target in lines:
        after[source].append(target)
    entered = {target for _, target in lines}
    back: set[Line] = set()
    above: set[str] = set()  # on the way from the first box to the one looked at
    done: set[str] = set()
    for start in sorted(names, key=lambda name: name in entered and name != names[0]):
        todo = [(start, False)]
        while todo:
            name, is_left = todo.pop()
            if is_left:
                above.discard(name)
                done.add(name)
            elif name not in done and name not in above:
                above.add(name)
                todo.append((name, True))
                back |= {(name, target) for target in after[name] if target in above}
                todo.extend((target, False) for target in reversed(after[name]))
    return back

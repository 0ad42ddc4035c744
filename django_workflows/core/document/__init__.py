"""
Workflows written as YAML documents: compiled to the same graph as classes, for the same engine.

In a document a step without ``next`` ends the workflow; only in the body of a loop is its next
the step written after it. The first step listed is the first.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from django_workflows.core import codec
from django_workflows.core.definition import STEP, WorkflowDefinition, compile_graph
from django_workflows.core.document.inputs import read_inputs
from django_workflows.core.document.nodes import Document, Node
from django_workflows.core.document.steps import StepReader
from django_workflows.core.validation import problems
from django_workflows.exceptions import ConfigurationError, PayloadError

try:
    import yaml
except ImportError:  # an extra; load_document() says so
    yaml = None  # type: ignore[assignment]

#: Bigger documents are refused before they are parsed.
MAX_BYTES = 1_048_576

#: Values in one document, each alias counted as all that it stands for.
MAX_NODES = 50_000

#: Lists and mappings within one another.
MAX_DEPTH = 60

NO_SERVICES: Mapping[str, str] = MappingProxyType({})

_TAGS = "tag:yaml.org,2002:"
_TYPED = {f"{_TAGS}{name}" for name in ("null", "bool", "int", "float", "timestamp")}
_PLAIN = {"!", f"{_TAGS}str", f"{_TAGS}map", f"{_TAGS}seq"}


def load_document(
    source: str | os.PathLike[str], *, services: Mapping[str, str] = NO_SERVICES
) -> WorkflowDefinition:
    """
    Return the workflow that a YAML document describes; nothing is registered.

    ``source`` is a path, or the document itself: a text of more than one line. ``services`` are
    what its calls may use: names, and the dotted path of a module, class or object for each.

    Raise DefinitionError with every problem, each with its file and, where they are known, line,
    step and key; ConfigurationError where PyYAML is missing.
    """
    if yaml is None:
        raise ConfigurationError(
            "Workflows in YAML need PyYAML: pip install django-durable-workflows[yaml]"
        )
    is_text = isinstance(source, str) and "\n" in source
    document = Document("<text>" if is_text else os.fspath(source), services)
    text = str(source) if is_text else _read(Path(source), document)
    origin = _fingerprint(text) if is_text else os.path.abspath(source)  # noqa: PTH100  "." stays out
    definition = _definition(document, _parse(text, document), origin)
    for problem in problems(definition):
        document.adopt(problem)
    if document.found:
        raise document.error(definition.id)
    return definition


def _definition(document: Document, root: Node, source: str) -> WorkflowDefinition:
    reader = StepReader(document, root)
    definition = WorkflowDefinition(
        id=reader.text("id", required=True) or "?",
        name=reader.text("name", required=True),
        version=reader.written("version", "1.0"),
        description=reader.text("description"),
        timeout=timedelta(seconds=limit) if (limit := reader.seconds("timeout")) else None,
        durability=reader.text("durability", STEP),
        input=read_inputs(reader.inner("inputs")),
        graph=compile_graph(reader.steps("steps"), follow=False),
        source=source,
        whole_ctx_result=True,
        keeps_undeclared=True,
    )
    reader.finish("a workflow")
    return definition


def _read(path: Path, document: Document) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        document.refuse(
            f"cannot be read: {reason} (a document that is given as text has several lines)"
        )
    if len(data) > MAX_BYTES:
        _refuse_size(document)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        document.refuse(f"is no UTF-8 text: {error.reason} at byte {error.start}")


def _refuse_size(document: Document) -> None:
    document.refuse(f"is bigger than {MAX_BYTES:,} bytes (MAX_BYTES)")


def _fingerprint(text: str) -> str:
    # The same text loaded again is the same definition; another text is another.
    return f"<text {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}>"


def _parse(text: str, document: Document) -> Node:
    """Return the document as a tree. Refuse at once what is no YAML, or beyond the limits."""
    if len(text) > MAX_BYTES:
        _refuse_size(document)
    try:
        loader = _loader()(text)
        try:
            root = _Tree(document, loader).read()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.refuse(f"is no YAML: {error.problem}", mark.line + 1 if mark else None)
    except (yaml.YAMLError, UnicodeError) as error:
        document.refuse(f"is no YAML: {' '.join(str(error).split())}")
    if root is None:
        document.refuse("is empty")
    if not isinstance(root.value, dict):
        document.refuse(f"must be a mapping with id, name and steps, not {root}", root.line)
    return root


@cache
def _loader() -> Any:
    """Return the class that parses: PyYAML's safe loader, in C where that was compiled."""

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Reads ``1e3`` as a number too, as JSON and other readers of YAML do."""

    exponent = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+\Z")
    Loader.add_implicit_resolver(f"{_TAGS}float", exponent, list("-+0123456789"))
    return Loader


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    node: Node
    anchor: str | None
    size: int = 1
    key: str | None = None


class _Tree:
    """
    Builds the tree from the parser's events, one after another.

    Nothing recurses and every value is counted as it comes, aliases with all that they stand for,
    so a hostile document costs no more than the limits allow.
    """

    def __init__(self, document: Document, loader: Any) -> None:
        self.document = document
        self.loader = loader
        self.root: Node | None = None
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int] | None] = {}
        self.count = 0

    def read(self) -> Node | None:
        """Return the root, or None where there is nothing."""
        while self.loader.check_event():
            event = self.loader.get_event()
            line = event.start_mark.line + 1
            match event:
                case yaml.DocumentStartEvent() if self.root is not None:
                    self.document.refuse("holds more than one document", line)
                case yaml.ScalarEvent():
                    self._put(self._scalar(event, line), event.anchor)
                case yaml.AliasEvent():
                    self._alias(event.anchor or "", line)
                case yaml.CollectionStartEvent():
                    self._begin(event, line)
                case yaml.CollectionEndEvent():
                    done = self.open.pop()
                    self._put(done.node, done.anchor, done.size)
        return self.root

    def _begin(self, event: Any, line: int) -> None:
        if len(self.open) >= MAX_DEPTH:
            self.document.refuse(f"nests deeper than {MAX_DEPTH} levels (MAX_DEPTH)", line)
        self._check_tag(event.tag, line)
        node = Node({} if isinstance(event, yaml.MappingStartEvent) else [], line)
        if event.anchor:
            self.anchors[event.anchor] = None  # until its end has come
        self.open.append(_Open(node, event.anchor))
        self._count(1, line)

    def _alias(self, anchor: str, line: int) -> None:
        if anchor not in self.anchors:
            self.document.refuse(f"alias *{anchor} has no anchor before it", line)
        known = self.anchors[anchor]
        if known is None:
            self.document.refuse(f"alias *{anchor} stands within what it names", line)
        node, size = known
        self._count(size, line)
        self._put(node, None, size)

    def _count(self, size: int, line: int) -> None:
        self.count += size
        if self.count > MAX_NODES:
            self.document.refuse(
                f"has more than {MAX_NODES:,} values, its aliases written out (MAX_NODES)", line
            )

    def _put(self, node: Node, anchor: str | None, size: int = 1) -> None:
        """Give a finished value to the list or mapping that it stands in."""
        if anchor:
            self.anchors[anchor] = (node, size)
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        parent.size += size
        if isinstance(parent.node.value, list):
            parent.node.value.append(node)
        elif parent.key is None:
            parent.key = self._key(parent.node, node)
        else:
            parent.node.value.setdefault(parent.key, node)
            parent.key = None

    def _key(self, mapping: Node, key: Node) -> str:
        if isinstance(key.value, (dict, list)):
            self.document.refuse("a key must be text, no list or mapping", key.line)
        if key.text in mapping.lines:
            first = mapping.lines[key.text]
            self.document.problem(f"key {key.text!r} stands on line {first} already", key.line)
        mapping.lines.setdefault(key.text, key.line)
        return key.text

    def _scalar(self, event: Any, line: int) -> Node:
        self._count(1, line)
        tag = event.tag
        if tag is None or tag == "!":
            tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        text: str = event.value
        if tag == f"{_TAGS}merge":
            self.document.refuse("merge keys (<<) are not read; write the keys out", line)
        if tag not in _TYPED:
            self._check_tag(event.tag, line)
            return Node(self._storable(text, text, line), line, text)
        try:
            value = self.loader.yaml_constructors[tag](self.loader, yaml.ScalarNode(tag, text))
        except (ArithmeticError, AttributeError, LookupError, ValueError, yaml.YAMLError):
            self.document.problem(f"{text[:60]!r} is no {tag.removeprefix(_TAGS)}", line)
            return Node(text, line, text)
        return Node(self._storable(value, text, line), line, text)

    def _storable(self, value: Any, text: str, line: int) -> Any:
        try:
            codec.encode(value)
        except PayloadError as error:
            self.document.problem(f"{text[:60]!r} cannot be kept: {error.reason}", line)
            return None
        return value

    def _check_tag(self, tag: str | None, line: int) -> None:
        if tag is not None and tag not in _PLAIN:
            shown = f"!!{tag.removeprefix(_TAGS)}" if tag.startswith(_TAGS) else tag
            self.document.problem(f"tag {shown} is not allowed: a document is plain data", line)

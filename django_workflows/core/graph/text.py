"""The graph as text in the languages of Mermaid and of Graphviz."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_MERMAID_SHAPES = {
    "decision": ("{", "}"),
    "wait": ("{{", "}}"),
    "terminal": ("([", "])"),
    "task": ("[", "]"),
}
_DOT_SHAPES = {"decision": "diamond", "wait": "hexagon", "terminal": "oval", "group": "plain"}
_DASHED = frozenset({"on_error", "compensate"})


def mermaid(graph: Mapping[str, Any]) -> str:
    """Return an exported graph as a Mermaid flowchart."""
    ids = _ids(graph)
    lines = ["flowchart TD", *_mermaid_scope(graph, ids, "", "    ")]
    lines += [
        f"    {ids[edge['from']]} {_arrow(edge)} {ids[edge['to']]}"
        for edge in graph["edges"]
        if edge["kind"] != "body"  # the box around it says so, and Mermaid refuses such a line
    ]
    for number, way in enumerate(_shown_exits(graph)):
        end = f"x{number}(({_quoted(way['to'])}))"
        lines.append(f"    {ids[way['from']]} {_arrow(way)} {end}")
    return "\n".join(lines) + "\n"


def _mermaid_scope(
    graph: Mapping[str, Any], ids: Mapping[str, str], scope: str, indent: str
) -> Iterator[str]:
    for node in _in_scope(graph, scope):
        name = ids[node["id"]]
        if node["shape"] != "group":
            left, right = _MERMAID_SHAPES[node["shape"]]
            yield f"{indent}{name}{left}{_quoted(node['name'])}{right}"
            continue
        yield f"{indent}subgraph {name}[{_quoted(_title(node))}]"
        for number, inner in enumerate(node["scopes"]):
            body = _mermaid_scope(graph, ids, inner, indent + "    ")
            if inner == node["id"]:
                yield from body
                continue
            yield f"{indent}    subgraph {name}_{number}[{_quoted(inner.rpartition('/')[2])}]"
            yield from ("    " + line for line in body)
            yield f"{indent}    end"
        yield f"{indent}end"


def _arrow(edge: Mapping[str, str]) -> str:
    line = "-.->" if edge["kind"] in _DASHED else "-->"
    return f"{line}|{_quoted(edge['label'])}|" if edge["label"] else line


def _quoted(text: str) -> str:
    """Return ``text`` as a string of Mermaid's, in which nothing is markup."""
    plain = re.sub(r"\s+", " ", text) or " "
    return '"' + re.sub(r"[^\w .,:;!?=+/()-]", lambda found: f"#{ord(found[0])};", plain) + '"'


def dot(graph: Mapping[str, Any]) -> str:
    """Return an exported graph in the language of Graphviz."""
    ids = _ids(graph)
    lines = [
        f"digraph {_string(graph['id'])} {{",
        "    node [shape=box, style=rounded];",
        *_dot_scope(graph, ids, "", "    "),
    ]
    lines += [
        f"    {ids[edge['from']]} -> {ids[edge['to']]}{_dot_options(edge)};"
        for edge in graph["edges"]
    ]
    for number, way in enumerate(_shown_exits(graph)):
        lines.append(f"    x{number} [shape=circle, label={_string(way['to'])}];")
        lines.append(f"    {ids[way['from']]} -> x{number}{_dot_options(way)};")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_scope(
    graph: Mapping[str, Any], ids: Mapping[str, str], scope: str, indent: str
) -> Iterator[str]:
    for node in _in_scope(graph, scope):
        name = ids[node["id"]]
        shape = _DOT_SHAPES.get(node["shape"], "box")
        if node["shape"] != "group":
            yield f"{indent}{name} [label={_string(node['name'])}, shape={shape}];"
            continue
        # A line cannot end at a cluster, so it ends at the title inside.
        yield f"{indent}subgraph cluster_{name} {{"
        yield f"{indent}    {name} [label={_string(_title(node))}, shape={shape}];"
        for number, inner in enumerate(node["scopes"]):
            yield f"{indent}    subgraph cluster_{name}_{number} {{"
            yield from _dot_scope(graph, ids, inner, indent + "        ")
            yield f"{indent}    }}"
        yield f"{indent}}}"


def _dot_options(edge: Mapping[str, str]) -> str:
    options = [f"label={_string(edge['label'])}"] if edge["label"] else []
    if edge["kind"] in _DASHED:
        options.append("style=dashed")
    if edge["kind"] == "body":
        options.append("style=dotted")
    return f" [{', '.join(options)}]" if options else ""


def _string(text: str) -> str:
    plain = re.sub(r"\s+", " ", text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _ids(graph: Mapping[str, Any]) -> dict[str, str]:
    """Return a name for every node that is a name in any language."""
    return {node["id"]: f"n{number}" for number, node in enumerate(graph["nodes"])}


def _title(node: Mapping[str, Any]) -> str:
    return f"{node['name']} ({node['type']})"


def _in_scope(graph: Mapping[str, Any], scope: str) -> list[Mapping[str, Any]]:
    return [node for node in graph["nodes"] if node["scope"] == scope]


def _shown_exits(graph: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return the exits that say something: that a flow simply comes to its end does not."""
    return [way for way in graph["exits"] if (way["to"], way["kind"]) != ("end", "next")]

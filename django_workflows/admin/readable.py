"""Stored values as a tree that folds, for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_workflows.core import codec

#: What holds no more than this many values, those within it counted, is shown open.
OPEN_UP_TO = 12

#: Of one list or mapping, so many items are shown; of the whole, so many values.
MOST_ITEMS = 200
MOST_VALUES = 3_000

#: Of one text, so many characters stand outside of a fold.
LONGEST_TEXT = 300

#: The key of the whole, which is shown open.
ROOT = "$"


def readable(value: Any) -> SafeString:
    """Return a storable value as a tree of folding lists and mappings, escaped."""
    return format_html('<div class="wf-json">{}</div>', _Tree().of(codec.encode(value), ROOT))


class _Tree:
    """Writes one value; ``left`` is how many values it may still show."""

    def __init__(self) -> None:
        self.left = MOST_VALUES

    def of(self, value: Any, key: str) -> SafeString:
        """Return plain JSON data, typed as core.codec writes it; ``key`` is its place."""
        if isinstance(value, dict):
            tag = next(iter(value)) if len(value) == 1 else ""
            if tag == "$dict":
                return self._folding(value[tag].items(), "{}", value[tag], key)
            if tag.startswith("$"):
                return self._typed(tag[1:], value[tag], key)
            return self._folding(value.items(), "{}", value, key)
        if isinstance(value, list):
            return self._list(value, "[]", key)
        self.left -= 1
        return _leaf(value, key)

    def _list(self, value: list[Any], signs: str, key: str) -> SafeString:
        return self._folding(((str(i), item) for i, item in enumerate(value)), signs, value, key)

    def _typed(self, kind: str, body: Any, key: str) -> SafeString:
        """Return what is no JSON of its own, such as a date: its kind behind the value."""
        if kind in {"tuple", "set", "frozenset"}:
            inner = self._list(body, "()", key)
        else:
            self.left -= 1
            inner = _leaf(_plain(kind, body), key)
        return format_html('{} <span class="wf-kind">{}</span>', inner, kind)

    def _folding(
        self, items: Iterable[tuple[str, Any]], signs: str, whole: Any, key: str
    ) -> SafeString:
        size = len(whole)
        if not size:
            return format_html('<span class="wf-empty">{}</span>', signs)
        shown: list[tuple[str, SafeString]] = []
        for name, item in items:
            if len(shown) >= MOST_ITEMS or self.left <= 0:
                break
            shown.append((name, self.of(item, f"{key}.{name}")))
        told = ngettext("%(size)s item", "%(size)s items", size) % {"size": f"{size:,}"}
        return format_html(
            '<details data-key="{}"{}><summary>{} <span class="wf-quiet">{}</span> {}</summary>'
            '<ul class="wf-tree">{}{}</ul></details>',
            key,
            " open" if key == ROOT or _weight(whole) <= OPEN_UP_TO else "",
            signs[0],
            told,
            signs[1],
            format_html_join("", '<li><span class="wf-key">{}</span> {}</li>', shown),
            _rest(size - len(shown)),
        )


def _plain(kind: str, body: Any) -> str:
    """Return the text of a typed value that holds no others."""
    if kind == "enum":
        module_and_class, member = body
        return f"{module_and_class.rpartition('.')[2].rpartition(':')[2]}.{member}"
    if kind == "timedelta":
        days, seconds, micro = body
        return f"{days} d {seconds + micro / 1e6:g} s"
    if isinstance(body, list):  # a moment with its zone
        return " ".join(str(part) for part in body[:2] if part)
    return str(body)


def _rest(left: int) -> SafeString | str:
    if not left:
        return ""
    told = ngettext("%(left)s more, not shown", "%(left)s more, not shown", left)
    return format_html('<li class="wf-quiet">{}</li>', told % {"left": f"{left:,}"})


def _weight(value: Any, most: int = OPEN_UP_TO) -> int:
    """Count the values within, and stop once there are more than are shown open."""
    if not isinstance(value, (dict, list)):
        return 1
    total = 0
    for item in value.values() if isinstance(value, dict) else value:
        total += _weight(item, most - total)
        if total > most:
            break
    return total


def _leaf(value: Any, key: str) -> SafeString:
    if value is None:
        return format_html('<span class="wf-null">{}</span>', "null")
    if isinstance(value, bool):
        return format_html('<span class="wf-bool">{}</span>', "true" if value else "false")
    if isinstance(value, (int, float)):
        return format_html('<span class="wf-number">{}</span>', str(value))
    if not value:
        return format_html('<span class="wf-empty">{}</span>', '""')
    if len(value) <= LONGEST_TEXT:
        return format_html('<span class="wf-text">{}</span>', value)
    size = _("%(size)s characters") % {"size": f"{len(value):,}"}
    return format_html(
        '<details data-key="{}"><summary><span class="wf-text">{}…</span>'
        ' <span class="wf-quiet">{}</span></summary><pre class="wf-text">{}</pre></details>',
        key,
        value[:LONGEST_TEXT],
        size,
        value,
    )

"""Pages that cost the same at any depth: each begins after the last row of the one before."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError as FieldError
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

#: What a column of 64 bits holds, on every database.
MOST_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place between two rows: the values of the row beside it, and which way to read."""

    values: Sequence[Any]
    backward: bool = False

    def encoded(self) -> str:
        """Return the text that a URL carries."""
        values = [v.isoformat() if isinstance(v, datetime) else v for v in self.values]
        text = json.dumps([int(self.backward), *values], separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decoded(cls, text: str, fields: Sequence[Any]) -> Cursor:
        """Return the cursor that ``text`` stands for. Raise ValueError, see encoded()."""
        padding = "=" * (-len(text) % 4)
        try:
            backward, *values = json.loads(urlsafe_b64decode(text + padding))
            if backward not in {0, 1} or len(values) != len(fields):
                raise ValueError(text)
            pairs = zip(fields, values, strict=True)
            return cls(values=[_value(*pair) for pair in pairs], backward=bool(backward))
        except (ArithmeticError, FieldError, NoBase64, RecursionError, TypeError) as error:
            raise ValueError(text) from error


def _value(field: Any, value: Any) -> Any:
    """Return ``value`` as one of a model's ``field``, such that each database can compare it."""
    known = field.to_python(value)
    if isinstance(known, datetime):
        if known.tzinfo is None:
            raise ValueError(value)
        return known.astimezone(UTC)
    if known is None or (isinstance(known, int) and abs(known) > MOST_NUMBER):
        raise ValueError(value)
    return known


class KeysetPagination(BasePagination):
    """
    Pages in the order of ``keys``, which has to end with a unique column and have an index.

    The reply is ``{"next": URL or null, "previous": URL or null, "results": […]}``. Rows that come
    or go meanwhile move no others to another page, and nothing is counted.
    """

    keys: Sequence[str] = ("created_at", "id")
    descending = True
    page_size = 50
    max_page_size = 200
    cursor_param = "cursor"
    size_param = "page_size"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.url = request.build_absolute_uri()
        size, cursor = self._size(request), self._cursor(request, queryset)
        backward = cursor is not None and cursor.backward
        descends = self.descending != backward
        rows = queryset.order_by(*[f"-{key}" if descends else key for key in self.keys])
        if cursor is not None:
            rows = rows.filter(self._beyond(cursor, descends=descends))
        found = list(rows[: size + 1])
        has_more, page = len(found) > size, found[:size]
        if backward:
            page.reverse()
        has_next, has_previous = (True, has_more) if backward else (has_more, cursor is not None)
        self.next = self._link(page[-1:], wanted=has_next, backward=False)
        self.previous = self._link(page[:1], wanted=has_previous, backward=True)
        return page

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        properties = {"next": link, "previous": link, "results": schema}
        return {"type": "object", "required": [*properties], "properties": properties}

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        size = {"type": "integer", "minimum": 1, "maximum": self.max_page_size}
        cursor = {"type": "string"}
        return [
            _parameter(self.cursor_param, _("Where the page begins; part of the links."), cursor),
            _parameter(
                self.size_param, _("How many a page has."), {**size, "default": self.page_size}
            ),
        ]

    def _beyond(self, cursor: Cursor, *, descends: bool) -> Q:
        comparison = "lt" if descends else "gt"
        first, *rest = zip(self.keys, cursor.values, strict=True)
        condition = Q(**{f"{first[0]}__{comparison}": first[1]})
        for key, value in rest:
            # The comparison of the first, without "or", is what finds the place in the index.
            at_first = Q(**{f"{first[0]}__{comparison}e": first[1]})
            condition = at_first & (condition | Q(**{f"{key}__{comparison}": value}))
        return condition

    def _cursor(self, request: Request, queryset: QuerySet[Any]) -> Cursor | None:
        text = request.query_params.get(self.cursor_param)
        if text is None:
            return None
        fields = [queryset.model._meta.get_field(key) for key in self.keys]
        try:
            return Cursor.decoded(text, fields)
        except ValueError as error:
            message = _("This is no cursor of this list. Take the links of a page as they are.")
            raise ValidationError({self.cursor_param: [message]}) from error

    def _size(self, request: Request) -> int:
        text = request.query_params.get(self.size_param)
        if text is None:
            return self.page_size
        if re.fullmatch(r"[1-9][0-9]{0,8}", text) and int(text) <= self.max_page_size:
            return int(text)
        message = _("Must be a whole number from 1 to {most}.").format(most=self.max_page_size)
        raise ValidationError({self.size_param: [message]})

    def _link(self, rows: Sequence[Any], *, wanted: bool, backward: bool) -> str | None:
        if not (wanted and rows):
            return None
        values = [getattr(rows[0], key) for key in self.keys]
        cursor = Cursor(values=values, backward=backward)
        return replace_query_param(self.url, self.cursor_param, cursor.encoded())


def _parameter(name: str, description: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": str(description),
        "schema": dict(schema),
    }


class NewestFirst(KeysetPagination):
    """Executions, by their creation."""


class OldestFirst(KeysetPagination):
    """What waits, the longest first."""

    keys = ("opened_at", "id")
    descending = False


class InOrder(KeysetPagination):
    """A history, as it was written."""

    keys = ("id",)
    descending = False

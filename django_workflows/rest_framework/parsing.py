"""What a request's body may be: JSON that every database and every reply can hold."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

#: What may be half of a character outside the first plane.
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class StrictJSONParser(JSONParser):
    """
    Django REST framework's own, which also refuses what it would fail on later.

    That is: what nests too deeply to be read, and text that is no text, with half of a surrogate.
    """

    strict = True

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        self._refuse_large((parser_context or {}).get("request"))
        try:
            data = super().parse(stream, media_type, parser_context)
            text = json.dumps(data, ensure_ascii=False)
        except RecursionError as error:
            raise ParseError(_("JSON parse error - nested too deeply.")) from error
        if _SURROGATE.search(text):
            raise ParseError(_("JSON parse error - text holds a lone surrogate."))
        return data

    def _refuse_large(self, request: Any) -> None:
        # Django asks for this where a view reads request.body; the framework reads the stream.
        most: int | None = getattr(settings, "DATA_UPLOAD_MAX_MEMORY_SIZE", None)  # None: no limit
        length = request.META.get("CONTENT_LENGTH") if request is not None else None
        if most is not None and int(length or 0) > most:
            raise RequestDataTooBig

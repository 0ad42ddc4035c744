"""Pages of a list whose length nobody needs to know exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core import paginator
from django.utils.functional import cached_property

from django_workflows.reports.counting import Count, count_of

if TYPE_CHECKING:
    Paginator = paginator.Paginator[Any]
else:  # generic for the type checker only
    Paginator = paginator.Paginator


class CappedPaginator(Paginator):
    """
    A paginator that counts at most to ``cap`` and ends there; for ``ModelAdmin.paginator``.

    ``counted`` says whether there are more: older rows are found by filters, not by paging. It
    counts in one query, that stops at the row after ``cap``.
    """

    cap = 10_000

    @cached_property
    def counted(self) -> Count:
        """Return how many rows there are, at most ``cap``."""
        rows: Any = self.object_list
        return count_of(rows, self.cap)

    @cached_property
    def count(self) -> int:
        """See Paginator.count."""
        return self.counted.number

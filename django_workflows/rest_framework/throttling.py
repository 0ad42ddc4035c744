"""How often somebody may start and decide, where the project says so."""

from __future__ import annotations

from typing import Any

from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle


class WorkflowsThrottle(ScopedRateThrottle):
    """
    Count ``workflows_start`` and ``workflows_decide`` for each user.

    How many there may be is in ``DEFAULT_THROTTLE_RATES``; a scope without a rate has no limit.
    """

    # Of its own: the project may have throttles that look for "throttle_scope".
    scope_attr = "workflows_scope"

    def get_rate(self) -> str | None:
        # Read late, so that changed settings count.
        rate: Any = api_settings.DEFAULT_THROTTLE_RATES.get(self.scope or "")
        return None if rate is None else str(rate)

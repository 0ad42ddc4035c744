"""``workflows doctor``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core import checks

from django_workflows.health import alive, findings
from django_workflows.management.verbs.base import Output, Verb


class Doctor(Verb):
    """
    Say what keeps executions from being driven, each with its cure.

    The exit code is 1 where something does.
    """

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        wrong = 0
        for message in checks.run_checks(tags=["workflows"]):
            if message.level >= checks.WARNING and not message.is_silenced():
                out.write(f"✗ {message.msg} ({message.id})\n    {message.hint or ''}".rstrip())
                wrong += 1
        if not wrong:  # else the settings are what is wrong, and nothing can be asked
            for finding in findings():
                out.write(f"✗ {finding.what}\n    {finding.cure}")
                wrong += 1
        if wrong:
            return 1
        count = len(alive())
        out.write(
            f"All is well: {count} {'process is' if count == 1 else 'processes are'} at work."
        )
        return 0

"""``workflows doctor``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django_workflows.health import Finding, alive, findings
from django_workflows.management.screens import Words, screen_of, write_json
from django_workflows.management.verbs.base import Code, Output, Verb
from django_workflows.management.verbs.checking import of_project


class Doctor(Verb):
    """
    Say what keeps executions from being driven, each with its cure.

    The exit code is 1 where something does.
    """

    def run(self, options: Mapping[str, Any], out: Output) -> int:
        """See Verb.run()."""
        wrong = list(_findings())
        count = 0 if wrong else len(alive())
        if options["json"]:
            found = [{"what": one.what, "cure": one.cure} for one in wrong]
            write_json(out, {"findings": found, "processes": count})
            return Code.FAILED if wrong else Code.DONE
        screen = screen_of(options, out)
        for one in wrong:
            screen.say(Words(f"✗ {one.what}", "bad"))
            if one.cure:
                screen.say(f"    {one.cure}")
        if wrong:
            return Code.FAILED
        are = "process is" if count == 1 else "processes are"
        screen.say(Words(f"All is well: {count} {are} at work.", "good"))
        return Code.DONE


def _findings() -> Iterator[Finding]:
    """Yield what is wrong with the settings, else with who is at work."""
    is_set_up = True  # else the settings are what is wrong, and nothing can be asked
    for problem in of_project():
        is_set_up = False
        yield Finding(what=f"{problem.what} ({problem.id})", cure=problem.hint)
    if is_set_up:
        yield from findings()

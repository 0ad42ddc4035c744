"""
``python -m bench [name …] [--rounds N] [--json] [--check]``: run measures, all if none is named.

Each measure alternates between its contestants, round by round, so that all meet the same machine;
medians are printed, with the spread. With ``--check`` the exit code is 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench import ctx, databases, growth, in_process, latency, million, queue, recovery, waiting
from bench.harness import Figures, Measure

MEASURES = {
    measure.name: measure
    for measure in (
        *(in_process.SQLITE, in_process.POSTGRES, queue.POSTGRES, queue.RQ),
        *(
            waiting.RATE,
            waiting.MEMORY,
            latency.POSTGRES,
            recovery.POSTGRES,
            growth.POSTGRES,
            ctx.POSTGRES,
            million.POSTGRES,
        ),
    )
}


def main() -> int:
    """Print the header, then a table a measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(MEASURES))
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (5)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--check", action="store_true", help="fail where a target is missed")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in MEASURES]
    if unknown:
        parser.error(f"no measure {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    if not options.json:
        print(", ".join(f"{name} {value}" for name, value in setting(options.rounds).items()))
    taken: dict[str, Figures] = {}
    reached = True
    for name in options.names or MEASURES:
        if (absent := missing(name)) is not None:
            print(f"{name}: not measured, {absent} does not answer", file=sys.stderr)
            reached = False
            continue
        taken[name] = MEASURES[name].take(options.rounds)
        if not options.json:
            print("", *MEASURES[name].lines(taken[name]), sep="\n", flush=True)
        reached &= told(MEASURES[name], taken[name], quiet=options.json)
    if options.json:
        print(json.dumps({**setting(options.rounds), "measures": taken}, indent=2))
    return int(options.check and not reached)


def missing(name: str) -> str | None:
    """Return the server that a measure needs and that does not answer."""
    if "postgres" in name and not databases.postgres_answers():
        return "PostgreSQL"
    return "Redis" if "rq" in name and not databases.redis_answers() else None


def told(measure: Measure, figures: Figures, *, quiet: bool) -> bool:
    """Print what became of each target; say whether all are reached."""
    every = list(measure.verdicts(figures))
    for line, _ in every:
        if not quiet:
            print(f"  {line}")
    return all(reached for _, reached in every)


def setting(rounds: int) -> dict[str, Any]:
    """Return with what the figures were taken."""
    found: dict[str, Any] = {"Python": platform.python_version(), "rounds": rounds}
    for package in ("Django", "psycopg", "dbos"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "-"
    return found


if __name__ == "__main__":
    sys.exit(main())

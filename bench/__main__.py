"""
``python -m bench [name …] [--rounds N] [--json]``: run measures, all of them if none is named.

Each measure alternates between ours and the bare limit, round by round, so that both meet the same
machine; medians are printed, with the spread.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Callable
from importlib.metadata import version

from bench import databases, in_process

MEASURES: dict[str, Callable[[], dict[str, Callable[[], float]]]] = {
    "in-process-sqlite": lambda: in_process.measure("sqlite"),
    "in-process-postgres": lambda: in_process.measure("postgres"),
}


def main() -> int:
    """Print the header, then a table a measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(MEASURES))
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (5)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in MEASURES]
    if unknown:
        parser.error(f"no measure {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    report = {
        "python": platform.python_version(),
        "django": version("django"),
        "rounds": options.rounds,
        "measures": {},
    }
    for name in options.names or MEASURES:
        if name.endswith("postgres") and not databases.postgres_answers():
            print(f"{name}: not measured, PostgreSQL does not answer", file=sys.stderr)
            continue
        report["measures"][name] = alternate(MEASURES[name](), options.rounds)
    print(json.dumps(report, indent=2) if options.json else table(report))
    return 0


def alternate(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return the figures of each contestant, taken in turn, after one round that does not count."""
    for run in contestants.values():
        run()
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            figures[name].append(run())
    return figures


def table(report: dict) -> str:
    """Return the report as text; the share is that of the first contestant, the bare limit."""
    lines = [f"Python {report['python']}, Django {report['django']}, {report['rounds']} rounds", ""]
    for name, figures in report["measures"].items():
        limit = statistics.median(next(iter(figures.values())))
        lines.append(f"{name} (steps/s: median, lowest to highest, share of the limit)")
        for who, values in figures.items():
            median = statistics.median(values)
            lines.append(
                f"  {who:<34} {median:8.0f}   {min(values):7.0f} to {max(values):7.0f}"
                f"   {median / limit:5.2f}"
            )
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

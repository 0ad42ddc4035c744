"""Each measure of bench/ still works; how quick things are is not asked here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import MEASURES
from bench.harness import Measure, Target
from tests.services import require

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", MEASURES)
def test_measure(name):
    if name.endswith("postgres"):
        require("postgres")
    if "rq" in name:
        require("redis")

    done = subprocess.run(
        [sys.executable, "-m", "bench", name, "--rounds", "1", "--json"],
        cwd=ROOT,
        env={**os.environ, "BENCH_SMOKE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["measures"][name]
    assert len(figures) >= 1
    assert all(value > 0 for values in figures.values() for value in values)


FIGURES = {"bare": [100.0, 300.0, 200.0], "ours": [150.0, 150.0, 150.0]}


@pytest.mark.parametrize(
    ("target", "line", "is_reached"),
    [
        (Target(who="ours", least=0.75, of="bare"), "0.75 x bare, at least 0.75", True),
        (Target(who="ours", least=0.8, of="bare"), "0.75 x bare, at least 0.8", False),
        (Target(who="ours", most=150), "150.00, at most 150", True),
        (Target(who="ours", most=149), "150.00, at most 149", False),
    ],
)
def test_target_is_judged_by_medians(target, line, is_reached):
    told, reached = target.judge(FIGURES)

    assert line in told
    assert reached is is_reached
    assert told.endswith("reached" if is_reached else "MISSED")


def test_contestants_take_turns_after_a_round_that_does_not_count():
    from contextlib import nullcontext

    asked = []
    named = {name: lambda name=name: asked.append(name) or 1.0 for name in "ab"}
    measure = Measure(name="m", unit="x", prepare=lambda: nullcontext(named))

    figures = measure.take(2)

    assert "".join(asked) == "ababab"
    assert figures == {"a": [1.0, 1.0], "b": [1.0, 1.0]}


def test_missed_target_is_an_exit_code_where_it_is_asked_for(monkeypatch, capsys):
    from contextlib import nullcontext

    from bench import __main__ as command

    slow = Measure(
        name="slow",
        unit="x",
        prepare=lambda: nullcontext({"ours": lambda: 1.0}),
        targets=(Target(who="ours", least=2),),
    )
    monkeypatch.setattr(command, "MEASURES", {"slow": slow})

    monkeypatch.setattr(sys, "argv", ["bench", "slow"])
    assert command.main() == 0
    monkeypatch.setattr(sys, "argv", ["bench", "slow", "--check"])
    assert command.main() == 1
    assert capsys.readouterr().out.count("MISSED") == 2

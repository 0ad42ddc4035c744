"""The demo as a person runs it: a process, on a database of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MANAGE = ROOT / "example_project" / "manage.py"
HEADER = "order_id,customer,country,product,quantity,unit_price\n"


@pytest.fixture
def demo(tmp_path):
    def demo(*arguments, **environment):
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        return subprocess.run(
            [sys.executable, MANAGE, "demo", "--database", tmp_path / "demo.sqlite3", *arguments],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "config.settings",
                "PYTHONPATH": path,
                "PYTHONIOENCODING": "utf-8",
                **environment,
            },
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    return demo


@pytest.fixture
def orders_file(tmp_path):
    def orders_file(rows):
        path = tmp_path / "mine.csv"
        path.write_text(HEADER + rows, encoding="utf-8")
        return path

    return orders_file


def test_it_fulfils_the_shipped_orders_and_shows_everything(demo):
    shown = demo()

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stderr == ""
    for sentence in [
        "orders 199/199",
        "186 completed, 1 failed, 12 halted",
        "order 1200, once its lease has run out: completed",
        "It was charged 1 time",
        "NotAllowed: robin started execution",
        "maria approves 9 and rejects 3.",
        "order 1144: failed at ship: RouteClosed: Nothing goes to IS",
        "undone since then: refund:charge, release:reserve",
        "order 1144: completed",
        "Steps run: ",
    ]:
        assert sentence in shown.stdout
    told = [line.split() for line in shown.stdout.splitlines()]
    for line in [
        "shipped 184",
        "refused: declined 4",
        "refused: invalid 5",
        "refused: rejected 3",
        "refused: sold out 4",
        "order_fulfilment completed 200",
        "shipment_notice halted 184",
    ]:
        assert line.split() in told
    assert "NOT SO" not in shown.stdout
    assert "left out" not in shown.stdout


def test_it_drives_what_it_starts_whatever_the_environment_says(demo, orders_file):
    path = orders_file("A,Ann,DE,Lamp,1,1\nB,Bob,FR,Lamp,1,1\n")

    shown = demo("--orders", path, SHOP_ADAPTER="database")

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "once its lease has run out: completed" in shown.stdout


def test_it_fulfils_anybodys_orders(demo, orders_file):
    rows = "A,Ann,DE,Lamp,2,10\nB,山田,JP,Rug,1,2000\nA,Ann,DE,Rug,1,5.50\nC,Bob,DE,Lamp,0,1\n"

    shown = demo("--orders", orders_file(rows))

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert ["shipped", "2"] in [line.split() for line in shown.stdout.splitlines()]
    assert ["refused:", "invalid", "1"] in [line.split() for line in shown.stdout.splitlines()]


def test_it_tells_of_bad_rows_and_fulfils_the_rest(demo, orders_file):
    shown = demo("--orders", orders_file("A,Ann,DE,Lamp,two,10\nB,Bob,DE,Rug,1,20\n"))

    assert shown.returncode == 0
    assert "mine.csv, line 2: quantity 'two' is no whole number" in shown.stderr
    told = [line.split() for line in shown.stdout.splitlines()]
    assert ["shipped", "1"] in told
    assert ["left", "out", "of", "the", "import", "1"] in told


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("", "has no orders"),
        ("A,Ann,DE,Lamp,two,10\n", "has no order that can be run"),
    ],
)
def test_it_refuses_a_file_without_orders(demo, orders_file, rows, problem):
    shown = demo("--orders", orders_file(rows))

    assert shown.returncode == 1
    assert problem in shown.stderr
    assert "Traceback" not in shown.stderr


def test_it_runs_on_a_terminal_that_knows_ascii_only(demo, orders_file):
    shown = demo("--orders", orders_file("A,山田,JP,Rug,1,2000\n"), PYTHONIOENCODING="ascii")

    assert shown.returncode == 0, shown.stderr
    assert "Order A of ?? is over 1,000" in shown.stdout


def test_it_makes_its_database_anew_each_time(demo, orders_file):
    path = orders_file("A,Ann,DE,Lamp,1,1\n")

    assert demo("--orders", path).returncode == 0
    assert demo("--orders", path).returncode == 0

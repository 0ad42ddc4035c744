"""What a real terminal, a pipe and odd encodings get."""

import os
import pty
import subprocess
import sys
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from django.core.management.base import OutputWrapper

from django_workflows import run, start
from django_workflows.management.screens import (
    Columns,
    Lines,
    Words,
    clean,
    clip,
    encodable,
    screen_of,
)
from tests.management.conftest import (
    ROOT,
    Terminal,
    command,
    environment,
    seen,
    shell,
    workflows,
)

RED = "\x1b["


def on_terminal(*line, **environ):
    """Run a verb in a process whose output is a terminal; return the code and what it shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*line),
        cwd=ROOT,
        env={**environment(), "COLUMNS": "140", "TERM": "xterm-256color", **environ},
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when nobody has the terminal open any more
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return process.wait(timeout=60), shown.decode()


@pytest.fixture
def without_rich(monkeypatch):
    monkeypatch.setitem(sys.modules, "django_workflows.management.rich", None)


# Which screen -----------------------------------------------------------------------------------


def test_a_pipe_gets_lines():
    assert isinstance(screen_of({}, OutputWrapper(StringIO())), Lines)


def test_a_terminal_gets_colours_and_bars():
    screen = screen_of({}, OutputWrapper(Terminal()))

    assert type(screen).__name__ == "RichScreen"
    assert screen.is_live


def test_without_the_library_a_terminal_gets_columns(without_rich):
    assert isinstance(screen_of({}, OutputWrapper(Terminal())), Columns)


def test_colours_can_be_forced_into_a_pipe():
    out = StringIO()
    screen = screen_of({"force_color": True}, OutputWrapper(out))

    screen.table(("A",), [[Words("x", "bad")]])
    with screen.progress(3, "work") as bar:
        bar.advance(1)

    assert RED in out.getvalue()
    assert not screen.is_live
    assert "work" not in out.getvalue()  # nothing moves in a pipe


@pytest.mark.parametrize("how", ["option", "variable"])
def test_colours_can_be_left_out(monkeypatch, how):
    out = Terminal()
    if how == "variable":
        monkeypatch.setenv("NO_COLOR", "1")

    screen_of({"no_color": how == "option"}, OutputWrapper(out)).say(Words("x", "bad"))

    assert "31m" not in out.getvalue()


# What is shown ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 日本", "plain ü 日本"),
        ("two\nlines\r\nor\tmore", "two lines or more"),
        ("\x1b[31m\x07\x00", "\\x1b[31m\\x07\\x00"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\u2028", ""),
    ],
)
def test_clean_leaves_no_orders_to_a_terminal(text, shown):
    assert clean(text) == shown


def test_clip():
    assert clip("abc", 3) == "abc"
    assert clip("abcd", 3) == "ab…"


def test_what_cannot_be_encoded_is_spelt():
    ascii_only = TextIOWrapper(BytesIO(), encoding="ascii")

    assert encodable("✗ ü", ascii_only) == "\\u2717 \\xfc"


def test_columns_without_the_library(without_rich):
    out = Terminal()
    screen = screen_of({}, OutputWrapper(out))

    screen.table(("NAME", "B"), [["x", "yes"], ["longer", "\x1b"]])
    screen.table((), [])
    screen.facts([("id", "7"), ("status", "halted")])
    screen.facts([])
    screen.title("Part")
    screen.document("a\n  b\n")

    assert out.getvalue() == (
        "NAME    B\nx       yes\nlonger  \\x1b\nid      7\nstatus  halted\n\nPart\na\n  b\n"
    )


@pytest.mark.django_db(transaction=True)
def test_verbs_do_without_the_library(without_rich, order):
    halted = run(order).execution_id

    assert "‖ halted" in seen("list").out
    assert "Waits for" in seen("show", halted).out
    assert "1 of 2 done; 1 could not be." in seen("cancel", halted, "nono").out
    assert "✗ failed" in seen("run", "order").out or "‖ halted" in seen("run", "order").out
    assert RED not in seen("watch", halted).out


def test_a_last_cell_that_has_no_room_stands_below(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    screen = screen_of({"no_color": True}, OutputWrapper(out))

    screen.table(("ID", "ERROR"), [["x" * 36, "it went wrong"], ["y", ""]])

    lines = [
        line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in out.getvalue().split("\n")
    ]
    assert lines == ["ID", "x" * 36, "    it went wrong", "y", ""]


def test_an_empty_column_takes_no_room(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    out = Terminal()

    screen_of({"no_color": True}, OutputWrapper(out)).table(
        ("A", "EMPTY", "B"), [["1", "", "2"], ["3", "", "4"]]
    )

    assert "EMPTY" not in out.getvalue()


# In processes of their own ----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_real_terminal_and_a_real_pipe():
    halted = start("return_of_goods", {"order_id": 7, "reason": "too loud"}).id

    code, shown = on_terminal("list")
    piped = shell("list")

    assert code == 0
    assert "STATUS" in shown
    assert "‖ halted" in shown
    assert RED in shown
    assert piped.returncode == 0
    assert piped.stdout.split("\t")[:4] == [halted, "return_of_goods", "1", "halted"]
    assert piped.stderr == ""


@pytest.mark.django_db(transaction=True)
def test_a_real_terminal_sees_a_bar_move():
    code, shown = on_terminal("run", "return_of_goods", "order_id=7", "reason=late")

    assert code == 3
    assert "━" in shown
    assert "halted at accept" in shown
    assert shown.count("\x1b[?25h") == shown.count("\x1b[?25l")  # the cursor is given back


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (["show", "nono"], 5, "CommandError: No execution 'nono' in this store.\n"),
        (["start", "return_of_goods", "x"], 2, "CommandError: 'x' is no pair: write key=value"),
        (["list", "--status", "x"], 2, "invalid choice: 'x'"),
        (["list", "--as", "eve"], 5, "CommandError: There is no user 'eve'"),
    ],
)
def test_errors_are_a_sentence_and_a_code(line, code, said):
    ended = shell(*line)

    assert ended.returncode == code
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


@pytest.mark.django_db(transaction=True)
def test_what_is_listed_can_be_piped_on():
    for _ in range(2):
        start("return_of_goods", {"order_id": 7, "reason": "too loud"})

    listed = shell("list", "--status", "halted")
    cancelled = shell("cancel", "-", "--reason", "enough", piped=listed.stdout)

    assert cancelled.returncode == 0
    assert [line.split("\t")[3] for line in cancelled.stdout.splitlines()] == ["cancelled"] * 2


def test_an_encoding_without_signs_is_no_crash():
    told = shell("check")
    odd = subprocess.run(
        command("list", "workflows"),
        cwd=ROOT,
        env={**environment(), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )

    assert told.returncode == 0
    assert odd.returncode == 0
    assert odd.stdout.isascii()


@pytest.mark.django_db(transaction=True)
def test_json_is_ascii_whatever_it_holds(registered, doing):
    run(doing, {"text": "ü\x1b[31m"})

    out = workflows("list", "--json").out

    assert out.isascii()
    assert "\x1b" not in out

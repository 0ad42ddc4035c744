"""Every code block of the README and the documentation does what the page says it does."""

import configparser
import re
import shlex

import pytest
from django.core.management import get_commands, load_command_class

from tests.docs.blocks import PAGES, ROOT, TUTORIAL, blocks_of

#: Languages whose blocks are run or checked; text shows what is printed, drawn or answered.
CHECKED = {"python", "pycon", "yaml", "console", "shell", "ini", "text"}

#: How many blocks are excused from running, by "% not run:". It may shrink.
MOST_NOT_RUN = 0

RUN = {"python", "pycon", "yaml"}

#: Commands whose work test_workers_page.py and test_tutorial.py look at.
OF_THE_SHELL = {
    *("cd", "createdb", "export", "kill", "mkdir"),
    *("redis-cli", "redis-server", "sleep", "source", "wait"),
}

#: Commands of apps that are not installed here: django-rq and django-tasks-db.
OF_OTHERS = {"rqworker", "db_worker"}

#: Where a command's output goes, and what follows when it is put into the background.
ELSEWHERE = re.compile(r" > \S+ 2>&1 &.*$")

WITH_CODE = [
    page
    for page in PAGES
    if page != TUTORIAL and any(block.language in RUN for block in blocks_of(page))
]
COMMANDS = [
    (block, line)
    for page in PAGES
    for block in blocks_of(page)
    if block.language in {"console", "shell"}
    for line in block.code.splitlines()
    if block.language == "shell" or line.startswith("$ ")
]
UNITS = [block for page in PAGES for block in blocks_of(page) if block.language == "ini"]


def named(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_is_of_a_language_that_is_checked(page):
    unknown = [f"{block} {block.language!r}" for block in blocks_of(page)]

    assert [name for name in unknown if name.split("'")[1] not in CHECKED] == []


def test_no_more_blocks_are_excused_than_were():
    excused = [block for page in PAGES for block in blocks_of(page) if block.not_run]

    assert len(excused) <= MOST_NOT_RUN, [f"{block}: {block.not_run}" for block in excused]


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize("page", WITH_CODE, ids=named)
def test_page_runs_from_top_to_bottom(page, reader):
    for block in blocks_of(page):
        if not block.not_run:
            reader.do(block)


@pytest.mark.parametrize(
    ("block", "line"), COMMANDS, ids=[f"{block} {line}" for block, line in COMMANDS]
)
def test_command_exists(block, line):
    for command in ELSEWHERE.sub("", line.removeprefix("$ ")).split("&&"):
        assert_command_exists(shlex.split(command, comments=True))


@pytest.mark.parametrize("block", UNITS, ids=str)
def test_unit_of_systemd_runs_a_command_that_exists(block):
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read_string(block.code)

    python, *words = shlex.split(unit["Service"]["ExecStart"])

    assert python.startswith("/")
    assert_command_exists(["python", *words])
    # Told to all of a pool at once, its processes would be told twice, and die of it.
    assert unit["Service"]["KillMode"] == "mixed"


def assert_command_exists(words):
    match words:
        case ["python", script, name, *options] if script.endswith("manage.py"):
            assert name in commands_of(script)
            if name in get_commands():
                assert_options_exist(name, options)
        case ["django-admin", name, *_]:
            assert name in {*get_commands(), "startproject"}
        case ["python", "-m", "pip", "install", *targets]:
            assert targets
            for target in targets:
                assert_can_be_installed(target)
        case ["tox", "-e", environments, *_]:
            assert set(environments.split(",")) <= tox_environments()
        case ["python", "-m", "pytest" | "venv", *_] | ["celery", "-A", _, "worker", *_]:
            pass
        case [name, *_] if name in OF_THE_SHELL:
            pass
        case _:
            raise AssertionError(f"a command that this test does not know: {words}")


def commands_of(script):
    """Return the commands of a reader's manage.py, or of the example's."""
    known = {*get_commands(), "startapp", *OF_OTHERS}
    if script != "manage.py":
        assert (ROOT / script).exists()
        folder = (ROOT / script).parent
        known |= {found.stem for found in folder.glob("*/management/commands/[a-z]*.py")}
    return known


def assert_options_exist(name, options):
    command = load_command_class(get_commands()[name], name)
    parser = command.create_parser("manage.py", name)
    try:
        parser.parse_args(options)
    except SystemExit as error:
        raise AssertionError(f"{name} takes no {options}") from error


def assert_can_be_installed(target):
    found = re.fullmatch(r"(?P<name>[\w./-]+)(\[(?P<extras>[\w,]+)\])?", target)

    assert found, target
    is_ours = found["name"] == "." or "/" in found["name"]
    for extra in (found["extras"] or "").split(",") if is_ours else ():
        assert not extra or extra in setup()["options.extras_require"]


def setup():
    parsed = configparser.ConfigParser()
    parsed.read(ROOT / "setup.cfg")
    return parsed


def tox_environments():
    parsed = configparser.ConfigParser()
    parsed.read(ROOT / "tox.ini")
    named = {section.removeprefix("testenv:") for section in parsed.sections()}
    # `py` is whatever Python is there.
    return {"py", *named}

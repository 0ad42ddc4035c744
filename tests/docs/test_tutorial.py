"""The tutorial's project is built from the tutorial's blocks alone, and its test passes."""

import itertools
import os
import subprocess
import sys

from tests.docs.blocks import ROOT, TUTORIAL, blocks_of

AT_THE_END = "at the end of "


def test_tutorial_ends_in_a_tested_workflow(tmp_path):
    printed = ""
    # Python is talked to in one shell until something else is done.
    for language, blocks in itertools.groupby(blocks_of(TUTORIAL), lambda block: block.language):
        if language == "pycon":
            in_the_shell(tmp_path, "".join(block.code for block in blocks))
            continue
        for block in blocks:
            if block.caption:
                write(tmp_path, block)
            elif language == "console":
                printed = converse(tmp_path, block)

    assert "Found 3 test(s)" in printed
    assert "OK" in printed


def write(folder, block):
    mode = "a" if block.caption.lower().startswith(AT_THE_END) else "w"
    name = block.caption[len(AT_THE_END) :] if mode == "a" else block.caption
    with (folder / name).open(mode) as file:
        file.write(block.code)


def converse(folder, block):
    """Type the lines after a prompt; return what was printed, which the page must have shown."""
    printed = ""
    for line in block.code.splitlines():
        if line.startswith("$ "):
            printed = run(folder, line.removeprefix("$ "))
        elif line.strip() and not line.startswith("..."):
            assert line.strip() in printed, f"{block}: {line!r} was not printed:\n{printed}"
    return printed


def in_the_shell(folder, conversation):
    """Run a conversation as doctest does, in the project's own shell."""
    (folder / "conversation.txt").write_text(conversation)
    run(
        folder,
        "python manage.py shell --verbosity 0 -c"
        ' "import doctest; flags = doctest.ELLIPSIS;'
        " found = doctest.testfile('conversation.txt', module_relative=False, optionflags=flags);"
        ' raise SystemExit(found.failed)"',
    )


def run(folder, command):
    if command.startswith("python -m pip install"):
        return ""  # it is installed, as this test runs
    python = f'"{sys.executable}"'
    command = command.replace("django-admin", f"{python} -m django", 1)
    command = command.replace("python manage.py", f"{python} manage.py", 1)
    # A reader's machine knows nothing of this run.
    ours = ("COVERAGE_", "DJANGO_", "PYTHON", "WORKFLOWS_")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(ours)
    } | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{command}\n{output}"
    return output

"""The code blocks of the README and the documentation, as they stand on the page."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")],
    key=lambda page: (page.parent != ROOT, page),
)

#: Built as a project of its own, by test_tutorial.py.
TUTORIAL = ROOT / "docs" / "tutorial.md"

#: Followed in a shell, by test_workers_page.py.
WORKERS = ROOT / "docs" / "howto" / "workers.md"

#: A line before a block that cannot run; what follows the colon is the reason.
NOT_RUN = "% not run:"

_HEADING = re.compile(r"^#+ +(?P<heading>.+)$")
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|:{3,})(?P<info>.*)$")
_CAPTION = re.compile(r"^:caption: +(?P<caption>.+)$")
# As GitHub shows it: the file's name in a line of its own above the block.
_NAMED_ABOVE = re.compile(r"^`(?P<caption>[\w/-]+\.\w+)`:$")
_DIRECTIVE = re.compile(r"^\{code-block\} +(?P<language>\w+)$")
_OTHER_DIRECTIVE = re.compile(r"^\{.+\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block: ``line`` is that of its first line of code, from 1."""

    page: Path
    line: int
    heading: str  # under which it stands
    language: str
    code: str
    caption: str = ""  # the file that the reader is to write
    not_run: str = ""  # why not

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the code blocks of a page, from top to bottom. Other directives may hold none."""
    lines = page.read_text().splitlines()
    at, heading = 0, ""
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        if opening is None:
            found = _HEADING.match(lines[at])
            heading = found["heading"] if found else heading
            at += 1
            continue
        end = _end(page, lines, at, opening)
        info = opening["info"].strip()
        if not _OTHER_DIRECTIVE.match(info) or _DIRECTIVE.match(info):
            yield _block(page, heading, lines, at, end, opening)
        elif any(_FENCE.match(line) for line in lines[at + 1 : end]):
            raise AssertionError(f"{page.name}:{at + 1}: this hides a block from the tests")
        at = end + 1


def _end(page: Path, lines: list[str], at: int, opening: re.Match[str]) -> int:
    closing = re.compile(rf"^ *{re.escape(opening['fence'])}$")
    for number in range(at + 1, len(lines)):
        if closing.match(lines[number]):
            return number
    raise AssertionError(f"{page.name}:{at + 1}: the block does not end")


def _block(
    page: Path, heading: str, lines: list[str], at: int, end: int, opening: re.Match[str]
) -> Block:
    info = opening["info"].strip()
    directive = _DIRECTIVE.match(info)
    body = [line.removeprefix(opening["indent"]) for line in lines[at + 1 : end]]
    first, caption = 0, ""
    if directive:
        while first < len(body) and body[first].startswith(":"):
            found = _CAPTION.match(body[first])
            caption = found["caption"] if found else caption
            first += 1
        while first < len(body) and not body[first]:
            first += 1
    before = next((line for line in reversed(lines[:at]) if line.strip()), "").strip()
    named = _NAMED_ABOVE.match(before)
    return Block(
        page=page,
        line=at + 2 + first,
        heading=heading,
        language=directive["language"] if directive else info,
        code="\n".join(body[first:]) + "\n",
        caption=named["caption"] if named else caption,
        not_run=before.removeprefix(NOT_RUN).strip() if before.startswith(NOT_RUN) else "",
    )

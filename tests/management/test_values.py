"""JSON from the line, from files and from pipes, and key=value pairs."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from io import BytesIO, StringIO, TextIOWrapper

import pytest

from django_workflows.core import codec
from django_workflows.core.inputs import AnyInput, DataclassInput
from django_workflows.management.verbs.values import Unreadable, ids_of, input_of, json_of


class Size(Enum):
    SMALL = "s"
    LARGE = 2


@dataclass
class Line:
    product: str


@dataclass
class Typed:
    text: str = ""
    number: int = 0
    amount: Decimal = Decimal(0)
    flag: bool = False
    day: date | None = None
    note: str | None = None
    many: list[int] | None = None
    lines: tuple[Line, ...] = ()
    size: Size = Size.SMALL


def test_what_json_has_not_is_read_as_it_is_written():
    text = codec.dumps({"amount": Decimal("9.90"), "day": date(2026, 3, 1)})

    assert json_of("--output", text) == {"amount": Decimal("9.90"), "day": date(2026, 3, 1)}
    assert input_of(AnyInput(), None, ['x={"$date": "2026-03-01"}']) == {"x": date(2026, 3, 1)}
    with pytest.raises(Unreadable, match="--output has a value that cannot be read"):
        json_of("--output", '{"$decimal": "many"}')


def piped(monkeypatch, text):
    monkeypatch.setattr("sys.stdin", StringIO(text))


@pytest.mark.parametrize(
    ("pair", "kept"),
    [
        ("text=7", {"text": "7"}),
        ("text=", {"text": ""}),
        ("text=a=b", {"text": "a=b"}),
        ("text=null", {"text": "null"}),
        ("number=7", {"number": 7}),
        ("amount=1.10", {"amount": Decimal("1.10")}),
        ("flag=true", {"flag": True}),
        ("day=2026-03-01", {"day": date(2026, 3, 1)}),
        ("note=hello", {"note": "hello"}),
        ("many=[1, 2]", {"many": [1, 2]}),
        ('lines=[{"product": "x"}]', {"lines": ({"product": "x"},)}),
        ("size=2", {"size": Size.LARGE}),
        ("size=s", {"size": Size.SMALL}),
    ],
)
def test_pairs_are_typed_by_the_input(pair, kept):
    spec = DataclassInput(Typed)

    found = spec.clean("w", input_of(spec, None, [pair]))

    [(name, value)] = kept.items()
    assert found[name] == value


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("key=7", 7),
        ("key=07", "07"),
        ('key="7"', "7"),
        ("key=hello", "hello"),
        ("key=NaN", "NaN"),
        ("key=" + "[" * 100_000, "[" * 100_000),
    ],
)
def test_without_a_type_json_is_json(pair, value):
    assert input_of(AnyInput(), None, [pair]) == {"key": value}


def test_pairs_count_for_more_than_the_input():
    assert input_of(AnyInput(), '{"a": 1, "b": 2}', ["b=3"]) == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (["order_id"], "'order_id' is no pair: write key=value"),
        (["=7"], "'=7' is no pair"),
        (["a=1", "a=2"], "'a' is given twice; a list is written as JSON: a='[1, 2]'."),
    ],
)
def test_what_is_no_pair_is_refused(pairs, said):
    with pytest.raises(Unreadable, match="^" + said.replace("[", r"\[")):
        input_of(AnyInput(), None, pairs)


def test_an_input_is_an_object():
    with pytest.raises(Unreadable, match=r"--input must be an object of fields, not \[1, 2\]\."):
        input_of(AnyInput(), "[1, 2]", [])


def test_json_that_is_none_says_where():
    with pytest.raises(Unreadable, match=r"--data is not JSON: .* at line 2, column \d+\."):
        json_of("--data", '{"a":\n 1, }')


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "1" * 5000, "[" * 100_000])
def test_json_that_cannot_be_kept_is_refused(text):
    with pytest.raises(Unreadable, match="--data is not JSON that can be kept: "):
        json_of("--data", text)


def test_what_is_piped_in(monkeypatch):
    piped(monkeypatch, '{"a": 1}')

    assert json_of("--data", "-") == {"a": 1}


def test_what_is_piped_in_and_is_no_json(monkeypatch):
    piped(monkeypatch, "")

    with pytest.raises(Unreadable, match="--data: what was piped in is not JSON: "):
        json_of("--data", "-")


def test_what_is_piped_in_and_is_no_text(monkeypatch):
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"\xff\xfe"), encoding="utf-8"))

    with pytest.raises(Unreadable, match="--data: what was piped in is not text"):
        json_of("--data", "-")


def test_a_file(tmp_path):
    file = tmp_path / "data.json"
    file.write_text('"ü"', encoding="utf-8")

    assert json_of("--data", f"@{file}") == "ü"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff", "cannot be read as text"),
        (b"{", "is not JSON"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, content, said):
    file = tmp_path / "data.json"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(Unreadable, match=said):
        json_of("--data", f"@{file}")


def test_ids_from_the_line_and_from_a_pipe(monkeypatch):
    piped(monkeypatch, "b\torder\t1\n\n  c  \na\n")

    assert ids_of(["a", "-", "d"]) == ["a", "b", "c", "d"]

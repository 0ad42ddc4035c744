"""Values that may be stored, and an equality that tells 1 from 1.0 and from True."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from django_workflows.core.codec import MAX_INT_BITS, register_enum


@register_enum
class Colour(Enum):
    RED = "red"
    GREEN = ("a", "tuple")
    ROUGE = "red"  # noqa: PIE796  an alias


@register_enum
class Size(IntEnum):
    SMALL = 1
    LARGE = 2


@register_enum
class Mood(StrEnum):
    GOOD = "good"


PRAGUE = ZoneInfo("Europe/Prague")

#: One of each, by the name of its test.
SAMPLES = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "negative": -7,
    "beyond_double": 2**53 + 1,
    "beyond_64_bits": -(2**64) - 1,
    "largest_int": 2**MAX_INT_BITS - 1,
    "float": 0.1,
    "whole_float": 1.0,
    "negative_zero": -0.0,
    "tiny_float": 5e-324,
    "huge_float": 1.7976931348623157e308,
    "text": "Grüße, 世界 🌍",
    "empty_text": "",
    "nul": "a\x00b",
    "controls": "\x01\x1f\x7f\x85\u2028\ufeff\uffff",
    "quotes": 'it\'s "quoted" \\ and 100 % {} $1 ? :name',
    "spaces": "  around  \n",
    "long_text": "ž" * 100_000,
    "combining": "e\u0301 é",  # two spellings of one letter stay two
    "datetime_utc": datetime(2026, 1, 31, 12, 0, 0, 123456, UTC),
    "datetime_naive": datetime(2026, 1, 31, 12, 0),  # noqa: DTZ001
    "datetime_offset": datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    "datetime_zone": datetime(2026, 7, 31, 12, tzinfo=PRAGUE),
    "datetime_fold": datetime(2026, 10, 25, 2, 30, tzinfo=PRAGUE, fold=1),
    "date": date(2026, 2, 28),
    "time": time(23, 59, 59, 999999),
    "time_zone": time(1, 2, tzinfo=PRAGUE),
    "timedelta": timedelta(days=-1, microseconds=1),
    "decimal": Decimal("1.10"),
    "decimal_exponent": Decimal("-1E+400"),
    "uuid": UUID("018f3f9e-0000-7000-8000-000000000000"),
    "bytes": bytes(range(256)),
    "enum": Colour.GREEN,
    "enum_alias": Colour.ROUGE,
    "int_enum": Size.LARGE,
    "str_enum": Mood.GOOD,
    "list": [1, [2, []]],
    "tuple": (1, (2,), ()),
    "set": {1, "1", (1, 2), frozenset({None})},
    "frozenset": frozenset({b"x", Decimal(1)}),
    "dict": {"b": 1, "a": {"": None}, "": []},
    "dict_like_a_tag": {"$date": "2026-01-31"},
    "dict_with_a_tag_key": {"$dict": {"$x": 1}, "y": {"$uuid": None}},
    "nested": {"a": [{"b": ({"c": {date(2026, 1, 1)}},)}]},
}


def exact(value):
    """Return a form of ``value`` that is equal only for equal values of equal types."""
    kind = type(value).__name__
    match value:
        case dict():
            return kind, [(key, exact(item)) for key, item in value.items()]
        case list() | tuple():
            return kind, [exact(item) for item in value]
        case set() | frozenset():
            return kind, {_hashable(exact(item)) for item in value}
        case datetime() | time():
            return kind, repr(value), value.fold
        case _:
            return kind, repr(value)


def _hashable(form):
    return tuple(
        _hashable(part) if isinstance(part, list | tuple) else _frozen(part) for part in form
    )


def _frozen(part):
    return frozenset(part) if isinstance(part, set) else part


text = st.text(st.characters(exclude_categories=["Cs"]))
zones = st.sampled_from([None, UTC, PRAGUE, timezone(timedelta(hours=-9, minutes=-30))])

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**MAX_INT_BITS) + 1, 2**MAX_INT_BITS - 1),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    text,
    st.binary(),
    st.dates(),
    st.datetimes(timezones=zones),
    st.times(timezones=zones),
    st.timedeltas(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.uuids(),
    st.sampled_from([*Colour, *Size, *Mood]),
)

hashables = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple), st.frozensets(inner, max_size=3)
    ),
    max_leaves=5,
)

#: Everything that a step may store, nested.
values = st.recursive(
    st.one_of(scalars, hashables, st.sets(hashables, max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(
            st.one_of(text, st.sampled_from(["$date", "$dict", "$"])), inner, max_size=4
        ),
    ),
    max_leaves=10,
)

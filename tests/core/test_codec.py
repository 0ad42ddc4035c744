import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum, Flag

import pytest
from django.contrib.auth import get_user_model
from django.utils.functional import lazystr
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy
from hypothesis import given

from django_workflows.core import codec
from django_workflows.core.codec import MAX_DEPTH, MAX_INT_BITS, register_enum
from django_workflows.exceptions import PayloadError
from tests.values import PRAGUE, SAMPLES, Colour, exact, values


class Unknown(Enum):
    A = 1


@register_enum
class Permission(Flag):
    READ = 1
    WRITE = 2


@dataclass
class Point:
    x: int = 0


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Bag(dict):
    pass


class Later(datetime):
    pass


class Odd(tzinfo):
    """A zone without a name that could be looked up."""

    def utcoffset(self, moment):
        return timedelta(seconds=1, microseconds=1)

    def dst(self, moment):
        return timedelta(0)


def circular_list():
    items = []
    items.append(items)
    return items


def circular_dict():
    items = {}
    items["again"] = [items]
    return items


def nested(depth, kind=list):
    value = 1
    for _ in range(depth):
        value = {"a": value} if kind is dict else kind([value])
    return value


# Round trips ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_a_value_reads_as_it_was_written(name):
    value = SAMPLES[name]

    assert exact(codec.loads(codec.dumps(value))) == exact(value)


@given(values)
def test_any_value_reads_as_it_was_written(value):
    assert exact(codec.loads(codec.dumps(value))) == exact(value)


@given(values)
def test_a_normalised_value_is_written_alike(value):
    assert codec.dumps(codec.normalise(value)) == codec.dumps(value)


@given(values)
def test_what_is_written_is_ascii_and_strict_json(value):
    text = codec.dumps(value)

    assert text.isascii()
    assert json.loads(text, parse_constant=pytest.fail) == codec.encode(value)


def test_jsons_own_types_are_written_as_themselves():
    value = {"a": [1, 1.5, True, None, "x"]}

    assert codec.encode(value) == value
    assert codec.dumps(value) == '{"a":[1,1.5,true,null,"x"]}'


def test_normalise_copies():
    value = {"a": [1]}

    codec.normalise(value)["a"].append(2)

    assert value == {"a": [1]}


def test_the_order_of_a_set_does_not_change_its_text():
    assert codec.dumps({"a", "b", "c"}) == codec.dumps({"c", "b", "a"})


def test_text_or_bytes_are_read():
    assert codec.loads(b'{"$date":"2026-01-31"}') == date(2026, 1, 31)


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(datetime(1, 1, 1), id="first"),  # noqa: DTZ001
        pytest.param(datetime.max.replace(tzinfo=UTC), id="last"),
        pytest.param(datetime(2026, 3, 29, 2, 30, tzinfo=PRAGUE), id="never_on_a_clock"),
        pytest.param(datetime(2026, 10, 25, 2, 30, fold=1), id="naive_fold"),  # noqa: DTZ001
        pytest.param(datetime(2026, 1, 1, tzinfo=PRAGUE, fold=1), id="needless_fold"),
        pytest.param(time(2, 30, fold=1), id="time_with_fold"),
        pytest.param(time(2, 30, tzinfo=UTC), id="time_in_utc"),
    ],
)
def test_odd_moments_are_kept(moment):
    assert exact(codec.loads(codec.dumps(moment))) == exact(moment)


def test_a_zone_of_microseconds_becomes_an_offset():
    moment = datetime(2026, 1, 1, tzinfo=Odd())

    kept = codec.normalise(moment)

    assert kept == moment
    assert kept.utcoffset() == timedelta(seconds=1, microseconds=1)


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_the_deepest_nesting_is_kept(kind):
    value = nested(MAX_DEPTH, kind)

    assert codec.loads(codec.dumps(value)) == value


def test_one_value_in_two_places_is_not_circular():
    shared = [1]

    assert codec.normalise([shared, shared]) == [[1], [1]]


# Refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        pytest.param({"a": float("nan")}, "a", "no JSON number", id="nan"),
        pytest.param([1, float("inf")], "[1]", "no JSON number", id="inf"),
        pytest.param({"a": [{"b": -float("inf")}]}, "a[0].b", "no JSON number", id="minus_inf"),
        pytest.param({"a": Decimal("NaN")}, "a", "not finite", id="decimal_nan"),
        pytest.param({"a": Decimal("sNaN")}, "a", "not finite", id="decimal_snan"),
        pytest.param((Decimal("-Infinity"),), "[0]", "not finite", id="decimal_inf"),
        pytest.param({"a": "x\ud800"}, "a", "lone surrogate", id="surrogate"),
        pytest.param({"a": {"\udfff": 1}}, "a", "lone surrogate", id="surrogate_in_key"),
        pytest.param({"a": {1: 2}}, "a", "key 1 is int", id="int_key"),
        pytest.param({None: 2}, "", "key None is NoneType", id="none_key"),
        pytest.param({"a": {("b",): 2}}, "a", "is tuple", id="tuple_key"),
        pytest.param({"a": {Text("b"): 2}}, "a", "plain str", id="str_subclass_key"),
        pytest.param({"a": {Colour.RED: 2}}, "a", "plain str", id="enum_key"),
        pytest.param({"a": Unknown.A}, "a", "register_enum", id="unknown_enum"),
        pytest.param(
            {"a": Permission.READ | Permission.WRITE}, "a", "no single name", id="several_flags"
        ),
        pytest.param({"a": Permission(0)}, "a", "no single name", id="no_flag"),
        pytest.param({"a": Point()}, "a", "asdict", id="dataclass"),
        pytest.param({"a": Point}, "a", "cannot be stored", id="class"),
        pytest.param({"a": (n for n in [1])}, "a", "store a list", id="generator"),
        pytest.param({"a": map(str, [1])}, "a", "store a list", id="iterator"),
        pytest.param({"a": range(3)}, "a", "plain data", id="range"),
        pytest.param({"a": {}.keys()}, "a", "plain data", id="dict_view"),
        pytest.param({"a": object()}, "a", "plain data", id="object"),
        pytest.param({"a": len}, "a", "plain data", id="function"),
        pytest.param({"a": 1j}, "a", "plain data", id="complex"),
        pytest.param({"a": bytearray(b"x")}, "a", "plain data", id="bytearray"),
        pytest.param({"a": memoryview(b"x")}, "a", "plain data", id="memoryview"),
        pytest.param({"a": UTC}, "a", "time zone", id="time_zone"),
        pytest.param({"a": PRAGUE}, "a", "store its name", id="zone_info"),
        pytest.param({"a": Text("x")}, "a", "store a plain str", id="str_subclass"),
        pytest.param({"a": SafeString("x")}, "a", "store a plain str", id="safe_string"),
        pytest.param({"a": Number(1)}, "a", "store a plain int", id="int_subclass"),
        pytest.param({"a": Bag()}, "a", "store a plain dict", id="dict_subclass"),
        pytest.param(
            {"a": Later(2026, 1, 1)}, "a", "store a plain datetime", id="datetime_subclass"
        ),
        pytest.param({"a": lazystr("x")}, "a", "cannot be stored", id="lazy_string"),
        pytest.param({"a": gettext_lazy("Yes")}, "a", "cannot be stored", id="lazy_translation"),
        pytest.param({"a": 2**MAX_INT_BITS}, "a", "store it as text", id="int_too_large"),
        pytest.param({"a": -(10**5000)}, "a", "store it as text", id="int_far_too_large"),
        pytest.param({"a": {1, Unknown.A}}, None, "register_enum", id="in_a_set"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_path(value, path, reason):
    with pytest.raises(PayloadError) as caught:
        codec.encode(value)

    assert reason in caught.value.reason
    assert path in {None, caught.value.path}


def test_a_model_instance_is_refused_with_what_to_store():
    with pytest.raises(PayloadError, match=r"a\.user: a model instance .*User\) .*store its pk"):
        codec.dumps({"a": {"user": get_user_model()(username="alice")}})


def test_a_queryset_is_refused_with_what_to_store():
    with pytest.raises(PayloadError, match=r"users: .*QuerySet cannot be stored; store a list"):
        codec.dumps({"users": get_user_model().objects.all()})


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(circular_list(), id="circular_list"),
        pytest.param(circular_dict(), id="circular_dict"),
        pytest.param(nested(MAX_DEPTH + 1), id="one_too_deep"),
        pytest.param(nested(1000), id="list_1000_deep"),
        pytest.param(nested(1000, dict), id="dict_1000_deep"),
        pytest.param(nested(1000, tuple), id="tuple_1000_deep"),
    ],
)
def test_what_nests_too_deep_is_refused_with_a_short_message(value):
    with pytest.raises(PayloadError, match="deeper than 100 levels, or circular") as caught:
        codec.encode(value)

    assert len(str(caught.value)) < 200


def test_an_enum_of_the_same_name_is_another_enum():
    twin = Enum("Colour", {"RED": 1}, module=Colour.__module__, qualname=Colour.__qualname__)

    with pytest.raises(PayloadError, match="register_enum"):
        codec.encode(twin.RED)


def test_register_enum_returns_it():
    assert register_enum(Colour) is Colour


# Stored data ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "not JSON", id="nothing"),
        pytest.param("{", "not JSON", id="torn"),
        pytest.param("[" * 100_000, "not JSON", id="deep"),
        pytest.param(b"\xff", "not JSON", id="bytes_of_no_text"),
        pytest.param('{"$python": "os.system"}', "unknown type tag '$python'", id="unknown_tag"),
        pytest.param('[{"a": {"$": 1}}]', "unknown type tag '$'", id="empty_tag"),
        pytest.param('{"$date": "31.1.2026"}', "$date '31.1.2026' cannot be read", id="date"),
        pytest.param('{"$date": 7}', "$date 7 cannot be read", id="date_of_a_number"),
        pytest.param('{"$datetime": ["2026-01-31T00:00:00"]}', "cannot be read", id="short"),
        pytest.param(
            '{"$datetime": ["2026-01-31T00:00:00", "Nowhere/At_all", 0]}',
            "cannot be read",
            id="unknown_zone",
        ),
        pytest.param(
            '{"$time": ["01:02:03", "../../etc/passwd", 0]}', "cannot be read", id="zone_as_a_path"
        ),
        pytest.param('{"$timedelta": ["x", 0, 0]}', "cannot be read", id="timedelta"),
        pytest.param('{"$timedelta": [9999999999, 0, 0]}', "cannot be read", id="timedelta_large"),
        pytest.param('{"$decimal": "one"}', "cannot be read", id="decimal"),
        pytest.param('{"$uuid": "x"}', "cannot be read", id="uuid"),
        pytest.param('{"$uuid": 1}', "cannot be read", id="uuid_of_a_number"),
        pytest.param('{"$bytes": "*"}', "cannot be read", id="bytes"),
        pytest.param('{"$set": [[1]]}', "cannot be read", id="set_of_lists"),
        pytest.param('{"$set": 1}', "cannot be read", id="set_of_a_number"),
        pytest.param('{"$tuple": null}', "cannot be read", id="tuple"),
        pytest.param('{"$dict": []}', "cannot be read", id="dict"),
        pytest.param('{"$enum": ["os:System", "A"]}', "enum 'os:System' is not known", id="enum"),
        pytest.param('{"$enum": ["tests.values:Colour", "BLUE"]}', "'BLUE'", id="enum_member"),
        pytest.param('{"$enum": "x"}', "cannot be read", id="enum_of_text"),
        pytest.param('{"$enum": [[], "A"]}', "cannot be read", id="enum_of_lists"),
    ],
)
def test_stored_data_that_was_not_written_here_is_refused(text, message):
    with pytest.raises(PayloadError) as caught:
        codec.loads(text)

    assert message in str(caught.value)


def test_a_stored_enum_is_reached_by_no_other_attribute():
    with pytest.raises(PayloadError, match="__class__"):
        codec.loads('{"$enum": ["tests.values:Colour", "__class__"]}')


def test_a_mapping_of_several_keys_is_no_tag():
    assert codec.decode({"$date": 1, "$uuid": 2}) == {"$date": 1, "$uuid": 2}

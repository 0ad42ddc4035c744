import pytest

from django_workflows.core.execution import State
from django_workflows.core.variables import Variables, copied, read_only


@pytest.fixture
def stored():
    return {"list": [1, {"deep": [2]}], "tuple": ([3],), "set": {4}, "text": "5"}


@pytest.mark.parametrize(
    "change",
    [
        lambda seen: seen["list"].append(9),
        lambda seen: seen["list"][1]["deep"].append(9),
        lambda seen: seen["tuple"][0].append(9),
        lambda seen: seen["set"].add(9),
    ],
)
def test_change_in_place_does_not_reach_what_is_stored(stored, change):
    before = copied(stored)

    change(Variables(stored))

    assert stored == before


def test_change_in_place_is_seen_by_whoever_made_it(stored):
    seen = Variables(stored)

    seen["list"].append(9)

    assert seen["list"] == [1, {"deep": [2]}, 9]


def test_what_cannot_change_is_shared(stored):
    assert Variables(stored)["text"] is stored["text"]


def test_copy_keeps_types(stored):
    assert copied(stored) == stored
    assert copied(frozenset({1})) == frozenset({1})


def test_reads_as_a_mapping(stored):
    seen = Variables(stored)

    assert list(seen) == ["list", "tuple", "set", "text"]
    assert len(seen) == 4
    assert seen == stored
    assert seen != ["list"]
    assert seen.get("nobody") is None
    assert repr(seen) == repr(stored)


def test_setting_a_variable_says_what_to_do_instead():
    with pytest.raises(TypeError, match=r"'total' cannot be set in place: return it"):
        Variables({})["total"] = 1


def test_cannot_be_hashed(stored):
    with pytest.raises(TypeError, match="unhashable"):
        hash(Variables(stored))


def test_read_only_state_guards_ctx_and_input():
    state = State(execution_id="7", workflow_id="w", ctx={"a": [1]}, input={"b": [2]})

    seen = read_only(state)
    seen.ctx["a"].append(9)
    seen.input["b"].append(9)

    assert (state.ctx, state.input) == ({"a": [1]}, {"b": [2]})
    assert seen.execution_id == "7"

import pytest

from django_workflows.core.registry import Registry
from django_workflows.exceptions import ConfigurationError, UnknownWorkflow


@pytest.fixture
def names():
    return Registry("workflow id", UnknownWorkflow)


def test_added_items_are_found_by_name(names):
    names.add("b", "second")
    names.add("a", "first")

    assert names["a"] == "first"
    assert "b" in names
    assert "c" not in names
    assert list(names) == ["a", "b"]
    assert names.values() == ["first", "second"]
    assert len(names) == 2


def test_missing_name_lists_those_that_are_there(names):
    names.add("refund", 1)
    names.add("order", 2)

    with pytest.raises(UnknownWorkflow, match=r"No workflow 'nope'.*order, refund") as caught:
        names["nope"]

    assert caught.value.known == ["order", "refund"]


def test_missing_name_in_an_empty_registry(names):
    with pytest.raises(UnknownWorkflow, match="Registered are: none"):
        names["nope"]


def test_taken_name_is_refused_and_stays_with_the_first(names):
    names.add("order", "first")

    with pytest.raises(ConfigurationError, match=r"workflow id 'order' is taken by 'first'"):
        names.add("order", "second")

    assert names["order"] == "first"


def test_same_item_may_be_added_again(names):
    item = object()
    names.add("order", item)

    assert names.add("order", item) is item


@pytest.mark.parametrize("same", [True, False])
def test_newcomer_takes_over_only_where_it_is_the_same_definition(names, same):
    names.add("order", "old")

    if same:
        names.add("order", "new", same=lambda old, new: (old, new) == ("old", "new"))
    else:
        with pytest.raises(ConfigurationError):
            names.add("order", "new", same=lambda old, new: False)

    assert names["order"] == ("new" if same else "old")


def test_removed_name_is_free_again(names):
    names.add("order", "first")

    names.remove("order")
    names.remove("order")

    assert names.add("order", "second") == "second"

from itertools import combinations

import pytest
from helpers.viggo_files import viggo_rows, viggo_split

from viggo_pipe.meaning.ontology import (
    ACTS_WITH,
    ATTRIBUTES,
    CLOSED_VALUES,
    DIALOGUE_ACTS,
    LIST_ATTRIBUTES,
    OPEN_ATTRIBUTES,
    attributes_of,
)
from viggo_pipe.meaning.syntax import parse


@pytest.fixture(scope="module")
def gold(viggo_folder):
    return [parse(row["mr"]) for row in viggo_rows(viggo_folder)]


def test_every_attribute_is_either_open_or_closed():
    assert set(OPEN_ATTRIBUTES) | set(CLOSED_VALUES) == set(ATTRIBUTES)
    assert set(OPEN_ATTRIBUTES) & set(CLOSED_VALUES) == set()


def test_lists_are_of_closed_values_that_hold_no_separator():
    assert set(LIST_ATTRIBUTES) <= set(CLOSED_VALUES)
    assert [
        value for attribute in LIST_ATTRIBUTES for value in CLOSED_VALUES[attribute] if ", " in value
    ] == []


@pytest.mark.parametrize("words", [DIALOGUE_ACTS, ATTRIBUTES, *CLOSED_VALUES.values()])
def test_nothing_stands_twice(words):
    assert len(set(words)) == len(words)


@pytest.mark.viggo
def test_the_dialogue_acts_are_those_of_the_data(gold):
    assert {meaning.act for meaning in gold} == set(DIALOGUE_ACTS)


@pytest.mark.viggo
def test_the_closed_values_are_those_of_the_data(gold):
    found = {attribute: set() for attribute in ATTRIBUTES}
    for meaning in gold:
        for slot in meaning.slots:
            found[slot.attribute] |= set(slot.values)
    for attribute, values in CLOSED_VALUES.items():
        assert found[attribute] - {""} == set(values), attribute


@pytest.mark.viggo
def test_the_attributes_are_those_of_the_data(gold):
    assert {slot.attribute for meaning in gold for slot in meaning.slots} == set(ATTRIBUTES)


@pytest.mark.viggo
def test_acts_have_the_attributes_that_training_shows_them_with(gold, viggo_folder):
    found = {attribute: set() for attribute in ACTS_WITH}
    for meaning in (parse(row["mr"]) for row in viggo_split(viggo_folder, "train")):
        for slot in meaning.slots:
            found.get(slot.attribute, set()).add(meaning.act)
    assert found == {attribute: set(acts) for attribute, acts in ACTS_WITH.items()}
    for meaning in gold:
        assert {slot.attribute for slot in meaning.slots} <= set(attributes_of(meaning.act))


@pytest.mark.viggo
def test_gold_slots_stand_in_the_order_of_the_ontology(gold):
    for meaning in gold:
        assert [slot.attribute for slot in meaning.slots] == [
            attribute for attribute in ATTRIBUTES if attribute in {slot.attribute for slot in meaning.slots}
        ]


@pytest.mark.viggo
def test_gold_lists_stand_in_the_order_of_the_ontology(gold):
    for meaning in gold:
        for slot in meaning.slots:
            if slot.attribute in LIST_ATTRIBUTES and slot.value:
                order = [CLOSED_VALUES[slot.attribute].index(value) for value in slot.values]
                assert all(first < second for first, second in combinations(order, 2)), meaning


@pytest.mark.viggo
def test_values_are_empty_in_request_attribute_and_only_there(gold):
    for meaning in gold:
        if meaning.act == "request_attribute":
            assert [slot.value for slot in meaning.slots] == [""]
        else:
            assert all(value for slot in meaning.slots for value in slot.values)

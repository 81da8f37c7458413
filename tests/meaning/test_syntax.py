import re

import pytest
from helpers.meanings import anything, meanings
from helpers.viggo_files import viggo_rows
from hypothesis import given
from hypothesis import strategies as st

from viggo_pipe.meaning.syntax import Meaning, MeaningError, Slot, canonical, parse

MEGABYTE = 2**20
# The same grammar as one regular expression, and the ends that complete any of its prefixes.
GRAMMAR = re.compile(r"[a-z][a-z_]*\([a-z][a-z_]*\[[^][\r\n]*\](, [a-z][a-z_]*\[[^][\r\n]*\])*\)")
COMPLETIONS = ("a(a[])", "(a[])", "a[])", "[])", "])", ")", " a[])", "")


def test_a_meaning_has_an_act_and_slots_in_the_order_written():
    meaning = parse(
        "inform(name[Dirt: Showdown], genres[sport, shooter], esrb[E 10+ (for Everyone 10 and Older)])"
    )
    assert meaning == Meaning(
        "inform",
        (
            Slot("name", "Dirt: Showdown"),
            Slot("genres", "sport, shooter"),
            Slot("esrb", "E 10+ (for Everyone 10 and Older)"),
        ),
    )


def test_only_a_list_attribute_is_split_into_values():
    assert Slot("platforms", "PC, Xbox").values == ("PC", "Xbox")
    assert Slot("developer", "Spectrum HoloByte, Inc.").values == ("Spectrum HoloByte, Inc.",)
    assert Slot("esrb", "").values == ("",)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("Inform(name[x])", 0),
        (" inform(name[x])", 0),
        ("inform", 6),
        ("inform()", 7),
        ("inform(name)", 11),
        ("inform(name[x)", 14),
        ("inform(name[x[y]])", 13),
        ("inform(name[x\n])", 13),
        ("inform(name[x]", 14),
        ("inform(name[x];)", 14),
        ("inform(name[x], )", 16),
        ("inform(name[x]) ", 15),
        ("inform(name[x])inform(name[x])", 15),
        ("inform(näme[x])", 8),
    ],
)
def test_what_is_no_meaning_raises_with_the_position(text, position):
    with pytest.raises(MeaningError, match=f"at character {position}$") as caught:
        parse(text)
    assert caught.value.position == position


def can_be_completed(prefix: str) -> bool:
    return any(GRAMMAR.fullmatch(prefix + completion) for completion in COMPLETIONS)


def check(text: str) -> None:
    try:
        meaning = parse(text)
    except MeaningError as error:
        assert not GRAMMAR.fullmatch(text)
        assert can_be_completed(text[: error.position])
        # ", " is read as one: where it is not whole, the error is at its comma.
        end = error.position + (2 if text.startswith(",", error.position) else 1)
        assert end > len(text) or not can_be_completed(text[:end])
    else:
        assert GRAMMAR.fullmatch(text)
        assert str(meaning) == text


@given(anything)
def test_any_string_is_parsed_or_refused(text):
    """HYPOTHESIS_PROFILE=nightly tries 100 times as many."""
    check(text)


@given(meanings())
def test_a_well_formed_meaning_round_trips(text):
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        f"inform(name[{'x' * MEGABYTE}])",
        f"{'a' * MEGABYTE}(name[x])",
        f"inform({', '.join(['name[x]'] * (MEGABYTE // 9))})",
        f"inform(platforms[{', '.join(['PC'] * (MEGABYTE // 4))}])",
    ],
    ids=["value", "act", "slots", "list"],
)
def test_a_megabyte_is_parsed(text):
    meaning = parse(text)
    assert str(meaning) == text
    assert str(canonical(meaning)) == text


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("(" * MEGABYTE, 0),
        ("a" * MEGABYTE, MEGABYTE),
        ("inform(name[" + "x" * MEGABYTE, MEGABYTE + 12),
        ("inform(name[" + "[" * MEGABYTE, 12),
        ("inform(" + "name[x], " * (MEGABYTE // 9), 7 + MEGABYTE // 9 * 9),
        ("inform(" + "inform(" * (MEGABYTE // 7), 13),
        (" " * MEGABYTE, 0),
    ],
    ids=["parentheses", "letters", "open value", "brackets", "open slots", "nested", "blanks"],
)
def test_a_megabyte_of_something_else_is_refused(text, position):
    with pytest.raises(MeaningError) as caught:
        parse(text)
    assert caught.value.position == position


def test_the_canonical_form_has_the_gold_order():
    text = (
        "inform(platforms[PC, Xbox], shape[round], esrb[T (for Teen)], name[Doom], genres[zen, shooter, "
        "action])"
    )
    expected = (
        "inform(name[Doom], esrb[T (for Teen)], genres[action, shooter, zen], platforms[Xbox, PC], "
        "shape[round])"
    )
    assert str(canonical(parse(text))) == expected


@given(meanings(), st.randoms(use_true_random=False))
def test_the_canonical_form_does_not_depend_on_the_order(text, random):
    def shuffled(items):
        return tuple(random.sample(items, len(items)))

    meaning = parse(text)
    slots = [Slot(slot.attribute, ", ".join(shuffled(slot.values))) for slot in meaning.slots]
    assert canonical(Meaning(meaning.act, shuffled(slots))) == canonical(meaning)
    assert canonical(canonical(meaning)) == canonical(meaning)


@pytest.mark.viggo
def test_every_gold_meaning_round_trips_and_is_canonical(viggo_folder):
    texts = [row["mr"] for row in viggo_rows(viggo_folder)]
    assert len(texts) == 6900
    assert [text for text in texts if str(parse(text)) != text] == []
    assert [text for text in texts if str(canonical(parse(text))) != text] == []

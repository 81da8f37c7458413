import llguidance.hf
import pytest
from helpers.viggo_files import viggo_rows, viggo_split
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher

from viggo_pipe.decoding.grammar import answer_grammar
from viggo_pipe.decoding.known_names import KnownNames
from viggo_pipe.meaning.ontology import OPEN_ATTRIBUTES
from viggo_pipe.meaning.syntax import parse

SENTENCE = (
    'Is "Portal 2", the PC puzzle game with shooter action by Valve Corporation from 2011, the funniest?'
)
KNOWN_NAMES = KnownNames(
    [
        "inform(name[Portal 2], developer[Valve Corporation], release_year[2011])",
        "confirm(name[Half-Life: Alyx], exp_release_date[March 23, 2020])",
        "request(specifier[funny])",
        "request_attribute(developer[])",
    ]
)


@pytest.fixture(scope="module")
def vocabulary(tiny_parts):
    return llguidance.hf.from_tokenizer(tiny_parts[1])


def admits(vocabulary, answer: str, sentence: str = SENTENCE, known_names: KnownNames = KNOWN_NAMES) -> bool:
    """Whether the whole of `answer` is an answer to `sentence`."""
    matcher = LLMatcher(vocabulary, answer_grammar(sentence, known_names.resembling(sentence)))
    assert not matcher.is_error(), matcher.get_error()
    tokens = vocabulary.tokenize_str(answer)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


@pytest.mark.parametrize(
    "answer",
    [
        "inform(name[Portal 2])",
        " inform(name[Portal 2])",  # as a SentencePiece tokenizer begins a text
        "confirm(name[Portal 2], release_year[2011], developer[Valve Corporation], genres[puzzle], "
        "platforms[PC])",
        "inform(genres[action, puzzle, shooter], has_multiplayer[no], platforms[PC])",
        "request(specifier[funniest])",
        "request_explanation(rating[good], genres[puzzle])",
        "request_attribute(esrb[])",
        "request_attribute(has_mac_release[])",
        "inform(esrb[E 10+ (for Everyone 10 and Older)])",
        'inform(name["Portal 2", the PC puzzle game])',
    ],
)
def test_an_answer_in_the_ontology_and_of_the_sentences_words_is_admitted(vocabulary, answer):
    assert admits(vocabulary, answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "inform()",
        "inform(name[])",
        "inform(name[Portal 2]",
        "inform(name[Portal 2]) and more",
        "explain(name[Portal 2])",
        "inform(title[Portal 2])",
        "inform(rating[better])",
        "inform(genres[])",
        "inform(genres[puzzle, action])",  # not in the ontology's order
        "inform(genres[puzzle, puzzle])",
        "inform(platforms[PC], name[Portal 2])",
        "inform(name[Portal 2], name[Portal 2])",
        "inform(name[Portal 2],release_year[2011])",
        "inform(name[Portal])x",
        "inform(name[Port])",  # a part of a word
        "inform(name[ Portal 2])",
        "inform(name[Portal 2 by Valve Corporation])",  # words, but not a run of them
        "inform(name[Half-Life: Alyx])",  # known, but nothing in the sentence resembles it
        "request(specifier[funny])",
        "inform(platforms[PlayStation, PC])",  # of which the sentence says nothing
        "inform(platforms[Xbox])",
        "inform(genres[puzzle, simulation])",
        "inform(player_perspective[first person])",
        "inform(name[Portal 2], has_mac_release[no])",
        "request_attribute(esrb[], rating[])",
        "request_attribute(rating[good])",
        "recommend(name[Portal 2], specifier[funniest])",  # of another act
        "confirm(name[Portal 2], rating[good])",
        "request(name[Portal 2], specifier[funniest])",
        "request_attribute(specifier[])",
    ],
)
def test_anything_else_is_not(vocabulary, answer):
    assert not admits(vocabulary, answer)


def test_a_misspelled_name_is_found_among_the_known_names(vocabulary):
    sentence = "Did you like Portla 2 by Vlave Corporaton?"
    assert admits(vocabulary, "confirm(name[Portal 2], developer[Valve Corporation])", sentence)
    assert not admits(vocabulary, "confirm(name[Half-Life: Alyx])", sentence)


@pytest.mark.parametrize(
    ("answer", "respelled"),
    [
        ("confirm(name[PORTAL  2])", "confirm(name[Portal 2])"),
        (" confirm(name[portal 2], developer[valve corp", " confirm(name[Portal 2], developer[valve corp"),
        ("confirm(developer[VALVE corporation])", "confirm(developer[Valve Corporation])"),
        ("confirm(name[valve corporation])", "confirm(name[valve corporation])"),  # not a known game
        ("confirm(name[PORTAL 2 Reloaded])", "confirm(name[PORTAL 2 Reloaded])"),
        ("confirm(name[Beyond PORTAL 2])", "confirm(name[Beyond PORTAL 2])"),
        ("confirm(name[PORTAL])", "confirm(name[PORTAL])"),
        ("confirm(exp_release_date[march 23, 2020])", "confirm(exp_release_date[march 23, 2020])"),
        ("request(specifier[portal 2])", "request(specifier[portal 2])"),
        ("request_attribute(name[])", "request_attribute(name[])"),
    ],
)
def test_a_known_name_is_spelled_as_it_is_known(answer, respelled):
    assert KNOWN_NAMES.respelled(answer) == respelled
    assert KNOWN_NAMES.respelled(respelled) == respelled


def test_of_two_known_spellings_each_stays():
    names = KnownNames(["inform(name[HellBlade])", "inform(name[Hellblade])"])
    for spelling in ("HellBlade", "Hellblade"):
        assert names.respelled(f"inform(name[{spelling}])") == f"inform(name[{spelling}])"
    assert names.respelled("inform(name[hellblade])") == "inform(name[HellBlade])"


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        ("Do you like Super Smash Bros.?", "Super Smash Bros."),
        ("Did you play NBA Jam!?", "NBA Jam!"),
        ("Have you tried any games from Spectrum HoloByte, Inc., like Tetris?", "Spectrum HoloByte, Inc."),
        ('Is "What Remains?", ("Wh...") good?', "What Remains?"),
        ("It is (.hack).", ".hack"),
        ("Is it \u00a1\u00a1Ol\u00e9!!?", "\u00a1Ol\u00e9!"),
        ("Is PORTAL 2 Reloaded good?", "PORTAL 2 Reloaded"),
        ("Is Streets of PORTAL 2 good?", "Streets of PORTAL 2"),
        ("Is PORTAL 2, or VALVE CORPORATION, good?", "PORTAL 2, or VALVE CORPORATION"),
    ],
)
def test_a_name_ends_at_any_sign_and_may_contain_a_known_one(vocabulary, sentence, name):
    assert admits(vocabulary, f"inform(name[{name}])", sentence)
    assert admits(vocabulary, f"confirm(developer[{name}])", sentence)
    assert KNOWN_NAMES.respelled(f"inform(name[{name}])") == f"inform(name[{name}])"


def is_border(sentence: str, place: int) -> bool:
    """Whether a word or a sign ends or begins before the character at `place`."""
    around = sentence[max(0, place - 1) : place + 1]
    return not (len(around) == 2 and all(sign.isalnum() or sign == "_" for sign in around))


PIECES = st.sampled_from(
    [
        *"aB1_.,!?&+'\"\\/()[]-\n\r\u2028\u00e9\u0301\u5b9d\U0001f3ae",
        " ",
        " ",
        "  ",
        "\t",
        "...",
        "?!",
        "Portal 2",
        "PORTAL 2",
    ]
)


@given(st.lists(PIECES, max_size=14).map("".join), st.data())
@pytest.mark.parametrize("repeated", [0, 101])  # above 100 there is another kind of rule
def test_any_run_between_borders_is_a_name(vocabulary, repeated, sentence, data):
    sentence += " so" * repeated
    ends = [place for place in range(len(sentence) + 1) if is_border(sentence, place)]
    start, end = sorted(data.draw(st.lists(st.sampled_from(ends), min_size=2, max_size=2)))
    value = sentence[start:end].strip()
    can_stand = len(value.splitlines()) == 1 and not set("[]") & set(value)
    assert admits(vocabulary, f"inform(name[{value}])", sentence) is can_stand


@pytest.mark.parametrize(
    "sentence",
    [
        'A "quote", a \\ and a /slash/.',
        "Pokémon 宝可梦 🎮",
        "a [b] c]",
        "one\ttwo\nthree",
        "one\r\ntwo",
        "one\u2028two\u00a0three",
        "नमस्ते दुनिया",
        "e\u0301te\u0301 \x00 \u200f",
        "x",
        "!",
    ],
)
def test_any_sentence_has_a_grammar(vocabulary, sentence):
    assert admits(vocabulary, "inform(rating[good])", sentence)
    word = sentence.split()[0]
    if word not in {"a", "!"}:
        assert admits(vocabulary, f"inform(name[{word}])", sentence)
    assert not admits(vocabulary, "inform(name[b]])", sentence)
    assert not admits(vocabulary, "inform(name[two\nthree])", sentence)


@pytest.mark.parametrize(
    ("value", "is_admitted"),
    [
        ("red  car", True),
        ("red car", False),
        ("red  car, (van", True),
        ("car,", True),
        ("car, (", True),
        (", (van)", True),
        ("bus", True),
        ("bus bus", True),
        ("bus bus bus", False),
        ("van) bus", False),
        ("tram", True),
        ("bus tram", False),
        ("tram...", False),
        ("bike..", True),
        ("..", True),
        (".?!", True),
        ("bike.?", False),
        (".... ?", False),
    ],
)
@pytest.mark.parametrize("repeated", [0, 200])  # above 100 there is another kind of rule
def test_a_value_is_a_run_of_words_as_they_stand(vocabulary, value, is_admitted, repeated):
    sentence = "red  car, (van) ]bus bus\ntram\nbike...?!" + "\nbike" * repeated
    assert admits(vocabulary, f"request(specifier[{value}])", sentence) is is_admitted


@pytest.mark.parametrize("repeated", [0, 200])
def test_no_value_goes_over_what_an_answer_is_cut_at(vocabulary, repeated):
    line_ends = [sign for sign in map(chr, range(0x3000)) if len(f"a{sign}b".splitlines()) > 1]
    assert len(line_ends) == 10
    for end in line_ends:
        sentence = f"Portal{end}Knights is{chr(0x3000)}good" + " so" * repeated
        for value in (f"Portal{end}Knights", f"Portal{end}", f"{end}Knights", end):
            assert not admits(vocabulary, f"inform(name[{value}])", sentence), ascii(value)
        assert admits(vocabulary, "inform(name[Portal])", sentence) and admits(
            vocabulary, "inform(name[Knights is])", sentence
        )
    assert admits(vocabulary, f"inform(name[is{chr(0x3000)}good])", sentence)


@pytest.mark.parametrize("sentence", ["", " \t\r\n", "[", "[ ][] ]"])
def test_a_sentence_without_words_has_no_value_of_its_own(vocabulary, sentence):
    assert admits(vocabulary, "inform(rating[good])", sentence)
    assert not admits(vocabulary, "inform(name[])", sentence)
    assert not admits(vocabulary, f"inform(name[{sentence}])", sentence)


def test_names_and_dates_are_known_and_no_specifiers():
    known = KNOWN_NAMES.resembling("portal 2, half life alyx, march 23 2020, 2011, funny, valve corporation")
    assert known == {
        "name": ["Half-Life: Alyx", "Portal 2"],
        "exp_release_date": ["March 23, 2020"],
        "release_year": ["2011"],
        "developer": ["Valve Corporation"],
    }
    unknown = KNOWN_NAMES.resembling("Why?")
    assert unknown.keys() == known.keys() and not any(unknown.values())
    assert KnownNames([]).resembling("Portal 2") == unknown


@pytest.mark.viggo
def test_all_but_one_reference_of_the_validation_split_is_admitted(vocabulary, viggo_folder):
    known_names = KnownNames(row["mr"] for row in viggo_split(viggo_folder, "train"))
    rows = viggo_split(viggo_folder, "validation")
    refused = [row["mr"] for row in rows if not admits(vocabulary, row["mr"], row["ref"], known_names)]
    # Its sentence says "fast paced".
    assert refused == ["request(has_multiplayer[yes], specifier[fast-paced])"]


@pytest.mark.viggo
@pytest.mark.slow
def test_no_reference_whose_values_stand_in_its_sentence_is_refused(vocabulary, viggo_folder):
    """Without known names, all 6,900 rows."""
    unknown = KnownNames([])
    refused = [
        row for row in viggo_rows(viggo_folder) if not admits(vocabulary, row["mr"], row["ref"], unknown)
    ]
    assert len(refused) == 35
    for row in refused:
        values = [slot.value for slot in parse(row["mr"]).slots if slot.attribute in OPEN_ATTRIBUTES]
        assert any(value not in row["ref"] for value in values), row

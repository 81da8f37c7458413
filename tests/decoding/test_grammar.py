import llguidance.hf
import pytest
from helpers.viggo_files import viggo_split
from llguidance import LLMatcher

from viggo_pipe.decoding.grammar import answer_grammar
from viggo_pipe.decoding.known_names import KnownNames

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


def test_a_known_name_is_spelled_as_it_is_known(vocabulary):
    sentence = "did you like PORTAL  2 by valve corporation?"
    assert admits(vocabulary, "confirm(name[Portal 2], developer[Valve Corporation])", sentence)
    assert not admits(vocabulary, "confirm(name[PORTAL  2])", sentence)
    assert not admits(vocabulary, "confirm(developer[valve corporation])", sentence)


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
    ],
)
@pytest.mark.parametrize("repeated", [0, 200])  # above 100 there is another kind of rule
def test_a_value_is_a_run_of_words_as_they_stand(vocabulary, value, is_admitted, repeated):
    sentence = "red  car, (van) ]bus bus\ntram" + "\nbike" * repeated
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

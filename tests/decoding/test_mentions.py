import pytest
from helpers.viggo_files import viggo_split

from viggo_pipe.decoding.mentions import unmentioned
from viggo_pipe.meaning.ontology import CLOSED_VALUES, LIST_ATTRIBUTES
from viggo_pipe.meaning.syntax import parse

STORES_AND_SYSTEMS = {"available_on_steam", "has_linux_release", "has_mac_release"}
ALL = STORES_AND_SYSTEMS.union(*(CLOSED_VALUES[attribute] for attribute in LIST_ATTRIBUTES))


@pytest.mark.parametrize(
    ("sentence", "mentions"),
    [
        ("Ancient Cities? From Uncasual Games?", set()),
        ("It is on Steam, but neither for Mac nor for Linux.", STORES_AND_SYSTEMS),
        ("a ps4 or PS5 exclusive", {"PlayStation"}),
        (
            "Final Fantasy VII is a new game, yes? Isn't it on Tony's team III?",
            {"available_on_steam"},
        ),  # "team" may be Steam
        ("XboxOne, PSVita and NintendoSwitch", {"Xbox", "PlayStation", "Nintendo", "Nintendo Switch"}),
        ("a Game Boy or N64 game", {"Nintendo"}),
        ("for P.C. (Win10) and OS X", {"PC", "has_mac_release"}),
        ("\uff30\uff33\uff14", {"PlayStation"}),  # PS4 in full width
        ("PC-only", {"PC"}),
        ("on the Nintendo Switch", {"Nintendo", "Nintendo Switch"}),
        (
            "an action-adventure shot in third person",
            {"action", "adventure", "action-adventure", "third person"},
        ),  # no shooter
        ("a turn-based RPG with driving", {"turn-based strategy", "role-playing", "driving/racing"}),
        ("a sim for board game fans, played top-down", {"simulation", "trivia/board game", "bird view"}),
        ("a firt person shoter", {"first person", "shooter"}),
        ("for the PlaySttaion, the Xbx and Liunx", {"PlayStation", "Xbox", "has_linux_release"}),  # mistyped
    ],
)
def test_what_a_sentence_mentions(sentence, mentions):
    assert unmentioned(sentence) == ALL - mentions


@pytest.mark.parametrize(
    ("phrase", "mentioned"),
    [
        ("a beat 'em up", "fighting"),
        ("a shoot-'em-up", "shooter"),
        ("FPS", "first person"),
        ("seen over the shoulder", "third person"),
        ("3-rd person", "third person"),
        ("a Kart racer", "driving/racing"),
        ("an RTS", "real-time strategy"),
        ("turnbased", "turn-based strategy"),
        ("brain teasers", "puzzle"),
        ("a card game", "trivia/board game"),
        ("an MMO", "MMORPG"),
        ("JRPGs", "role-playing"),
        ("isometric", "bird view"),
        ("a 2-D platformer", "side view"),
        ("side-scrolling", "side view"),
        ("jump 'n' run", "platformer"),
        ("footbal", "sport"),
        ("tactics", "tactical"),
        ("point & click", "point-and-click"),
        ("hack 'n' slash", "hack-and-slash"),
        ("a text adventure", "text adventure"),
        ("an independent studio's", "indie"),
        ("rhythm games", "music"),
        ("pinball", "pinball"),
        ("coin-op", "arcade"),
        ("vehicles", "vehicular combat"),
        ("N 64", "Nintendo"),
        ("for Play Station4", "PlayStation"),
    ],
)
def test_other_peoples_words_are_known(phrase, mentioned):
    assert mentioned not in unmentioned(f"Is it {phrase}?")


@pytest.mark.parametrize(
    ("sentence", "unsaid"),
    [
        ("A high rating.", "driving/racing"),
        ("Sid came back to it.", "side view"),
        ("Sid came back to it.", "hack-and-slash"),
        ("What's next to test?", "text adventure"),
        ("Find all of Indiana Jones.", "pinball"),
        ("shot in Rome", "shooter"),
    ],
)
def test_a_word_of_its_own_is_no_slip(sentence, unsaid):
    assert unsaid in unmentioned(sentence)


def test_every_value_of_a_list_has_words_and_is_no_attribute():
    values = [value for attribute in LIST_ATTRIBUTES for value in CLOSED_VALUES[attribute]]
    assert unmentioned("") == ALL and len(ALL) == len(STORES_AND_SYSTEMS) + len(values)


@pytest.mark.viggo
@pytest.mark.parametrize("split", ["train", "validation"])
def test_sentences_mention_what_their_references_are_about(viggo_folder, split):
    for row in viggo_split(viggo_folder, split):
        meaning = parse(row["mr"])
        about = {attribute for attribute, value in meaning.slots if value}
        lists = [value for attribute, value in meaning.slots if attribute in LIST_ATTRIBUTES and value]
        about |= {one for value in lists for one in value.split(", ")}
        assert not about & unmentioned(row["ref"]), row["ref"]

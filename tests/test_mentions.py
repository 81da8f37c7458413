import pytest
from viggo_files import viggo_split

from viggo_pipe.meaning import parse
from viggo_pipe.mentions import unmentioned
from viggo_pipe.ontology import CLOSED_VALUES

STORES_AND_SYSTEMS = {"available_on_steam", "has_linux_release", "has_mac_release"}
ALL = STORES_AND_SYSTEMS | set(CLOSED_VALUES["platforms"])


@pytest.mark.parametrize(
    ("sentence", "mentions"),
    [
        ("Ancient Cities? From Uncasual Games?", set()),
        ("It is on Steam, but neither for Mac nor for Linux.", STORES_AND_SYSTEMS),
        ("a ps4 or PS5 exclusive", {"PlayStation"}),
        ("Final Fantasy VII is a new game, yes? Isn't it on Tony's team III?", {"available_on_steam"}),  # "team" may be Steam
        ("XboxOne, PSVita and NintendoSwitch", {"Xbox", "PlayStation", "Nintendo", "Nintendo Switch"}),
        ("a Game Boy or N64 game", {"Nintendo"}),
        ("for P.C. (Win10) and OS X", {"PC", "has_mac_release"}),
        ("\uff30\uff33\uff14", {"PlayStation"}),  # PS4 in full width
        ("PC-only", {"PC"}),
        ("on the Nintendo Switch", {"Nintendo", "Nintendo Switch"}),
        ("for the PlaySttaion, the Xbx and Liunx", {"PlayStation", "Xbox", "has_linux_release"}),  # mistyped
    ],
)
def test_what_a_sentence_mentions(sentence, mentions):
    assert unmentioned(sentence) == ALL - mentions


@pytest.mark.viggo
@pytest.mark.parametrize("split", ["train", "validation"])
def test_sentences_mention_what_their_references_are_about(viggo_folder, split):
    for row in viggo_split(viggo_folder, split):
        meaning = parse(row["mr"])
        about = {attribute for attribute, value in meaning.slots if value}
        about |= {platform for attribute, value in meaning.slots if attribute == "platforms" for platform in value.split(", ")}
        assert not about & unmentioned(row["ref"]), row["ref"]

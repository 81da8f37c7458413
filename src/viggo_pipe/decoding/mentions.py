"""Which stores, systems, platforms, genres and perspectives a sentence mentions.

A right answer in ViGGO is about no others. In all 5,103 training and 714 validation rows, the sentence has a
word of `_CALLED` for each one that the answer is about.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from rapidfuzz.distance import OSA


class _Words(NamedTuple):
    """Names of a thing, separated by spaces: those recognized with typing slips, and those without."""

    mistyped: str
    exact: str = ""


_ADVENTURE = _Words("adventure", "adventurous adventuring")
# By boolean attribute, and by value of a list.
_CALLED = {
    "available_on_steam": _Words("steam", "steamos"),
    "has_linux_release": _Words("linux", "ubuntu debian steamos"),
    "has_mac_release": _Words("mac", "macos macintosh macbook apple osx"),
    "PlayStation": _Words("playstation", "ps psp psn psx psvr psone vita sony"),
    "Xbox": _Words("xbox", "xbone"),
    "Nintendo": _Words("nintendo", "nes snes n64 wii gamecube gameboy gba ds famicom switch"),
    "Nintendo Switch": _Words("switch"),
    "PC": _Words("pc", "pcvr computer desktop laptop windows win10 win11"),
    "action": _Words("action"),
    "action-adventure": _ADVENTURE,
    "adventure": _ADVENTURE,
    "arcade": _Words("arcade", "coinop"),
    "driving/racing": _Words(
        "driving racing", "race racer drive driver car kart karting gokart vehicle motorsport rally motocross"
    ),
    "fighting": _Words("fighting fighter", "fight brawler combat beatem boxing wrestling martialart"),
    "hack-and-slash": _Words("hack slash", "hacking slashing slasher hackandslash hacknslash hns"),
    "indie": _Words("indie independent", "independently"),
    "MMORPG": _Words("mmorpg massively", "mmo"),
    "music": _Words("music", "musical rhythm rythm rhythmic dancing karaoke"),
    "pinball": _Words("pinball"),
    "platformer": _Words("platformer platforming", "platform jumpn jumpand"),
    "point-and-click": _Words("point click", "pointing clicking pointandclick"),
    "puzzle": _Words("puzzle puzzler", "puzzling brainteaser"),
    "real-time strategy": _Words("strategy strategic realtime", "strategist strategically rts rtt"),
    "role-playing": _Words("role rpg", "roleplaying roleplay jrpg crpg arpg mmorpg mmo"),
    "shooter": _Words("shooter shooting", "shoot fps tps shootem shmup gun gunplay"),
    "simulation": _Words("simulation simulator", "sim simulated simulating simulate citybuilder management"),
    "sport": _Words(
        "sport football basketball baseball",
        "sporting sporty soccer hockey tennis golf golfing cricket rugby volleyball boxing wrestling "
        "skateboarding skating snowboarding skiing athletic motorsport",
    ),
    "strategy": _Words("strategy strategic", "strategist strategically strategize strategizing rts"),
    "tactical": _Words("tactical", "tactic tactician"),
    "text adventure": _Words("text", "textual interactivefiction"),
    "trivia/board game": _Words("trivia board", "quiz boardgame cardgame tabletop"),
    "turn-based strategy": _Words("strategy strategic turn", "turnbased tbs"),
    "vehicular combat": _Words("vehicular combat", "vehicle car"),
    "bird view": _Words(
        "bird topdown",
        "birdseye top topview overhead above aerial isometric isometrically overlooking godview",
    ),
    "first person": _Words("first", "1st firstperson fps fpp fpv"),
    "side view": _Words(
        "side sidescroller scrolling", "sideways sidescrolling scroller profile 2d twodimensional"
    ),
    "third person": _Words("third", "3rd thirdperson tps tpp shoulder behind"),
}
_ONE_SLIP, _TWO_SLIPS = 3, 7  # least letters of a name recognized with one slip, and with two
# One slip away from a name, but words of their own.
_NO_SLIPS = frozenset((
    "back", "fishing", "hawk", "hole", "india", "lack", "lighting", "next", "rating", "rule", "short", "sid",
    "smash", "test",
))  # fmt: skip
_WORD = re.compile(r"[^\W_]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_DIGIT = re.compile(r"\d")
# Where another word begins within "XboxOne".
_INNER_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def _things_by_name(names: Callable[[_Words], str]) -> dict[str, frozenset[str]]:
    """The things that each name, of those that `names` picks, is a name of."""
    found: dict[str, set[str]] = {}
    for thing, words in _CALLED.items():
        for name in names(words).split():
            found.setdefault(name, set()).add(thing)
    return {name: frozenset(things) for name, things in found.items()}


_THINGS = frozenset(_CALLED)
_BY_NAME = _things_by_name(lambda words: f"{words.mistyped} {words.exact}")
_BY_MISTYPED_NAME = _things_by_name(lambda words: words.mistyped)


def unmentioned(sentence: str) -> frozenset[str]:
    """The boolean attributes, and values of lists, that no word of `sentence` names or nearly names."""
    words, pairs = _words(sentence)
    mentioned: set[str] = set()
    for word in words:
        mentioned |= _named_by(word)
    for pair in pairs:
        mentioned |= _BY_NAME.get(pair, frozenset())
    return _THINGS - mentioned


@lru_cache(maxsize=2**14)
def _named_by(word: str) -> frozenset[str]:
    found = set(_BY_NAME.get(word, ()))
    if word not in _NO_SLIPS:
        for name, things in _BY_MISTYPED_NAME.items():
            if _resembles(word, name):
                found |= things
    return frozenset(found)


def _words(sentence: str) -> tuple[set[str], set[str]]:
    """The words of a sentence, and its pairs of words joined ("gameboy"), in lower case.

    Words are there without digits and without a plural's s, too. "XboxOne" is also two words.
    """
    sentence = unicodedata.normalize("NFKC", sentence)
    folded = sentence.casefold()
    texts = [_WORD.findall(folded)]
    if _DIGIT.search(folded):  # without one, these would be the same words again
        texts.append(_LETTERS.findall(folded))
    words = {word for text in texts for word in text}
    pairs = {first + second for text in texts for first, second in pairwise(text)}
    if _INNER_CAPITAL.search(sentence):
        words.update(_LETTERS.findall(_INNER_CAPITAL.sub(" ", sentence).casefold()))
    return _with_singulars(words), _with_singulars(pairs)


def _with_singulars(words: set[str]) -> set[str]:
    return words | {word[:-1] for word in words if word.endswith("s")}


def _resembles(word: str, name: str) -> bool:
    slips = 0
    if len(name) >= _TWO_SLIPS:
        slips = 2
    elif len(name) >= _ONE_SLIP:
        slips = 1
    return OSA.distance(word, name, score_cutoff=slips) <= slips

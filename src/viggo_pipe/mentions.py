"""Which stores, systems, platforms, genres and perspectives a sentence mentions: an answer about another one is wrong.

Of ViGGO's 5,103 training rows, all that are about one of them have a word for it in the sentence.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from rapidfuzz.distance import OSA

# By boolean attribute, and by value of a list: ViGGO's words, which may be mistyped; and other ones that people use.
_WORDS = {
    "available_on_steam": ("steam", "steamos"),
    "has_linux_release": ("linux", "ubuntu debian steamos"),
    "has_mac_release": ("mac", "macos macintosh macbook apple osx"),
    "PlayStation": ("playstation", "ps psp psn psx psvr psone vita sony"),
    "Xbox": ("xbox", "xbone"),
    "Nintendo": ("nintendo", "nes snes n64 wii gamecube gameboy gba ds famicom switch"),
    "Nintendo Switch": ("switch", ""),
    "PC": ("pc", "pcvr computer desktop laptop windows win10 win11"),
    "action": ("action", ""),
    "action-adventure": ("adventure", "adventurous adventuring"),
    "adventure": ("adventure", "adventurous adventuring"),
    "arcade": ("arcade", ""),
    "driving/racing": ("driving racing", "race racer drive driver car kart vehicle vehicular"),
    "fighting": ("fighting fighter", "fight brawler combat beatemup"),
    "hack-and-slash": ("hack slash", "hacking slashing slasher hns"),
    "indie": ("indie", "independent"),
    "MMORPG": ("mmorpg", "mmo massively massive"),
    "music": ("music", "musical rhythm"),
    "pinball": ("pinball", ""),
    "platformer": ("platformer platforming", "platform"),
    "point-and-click": ("point click", "pointing clicking"),
    "puzzle": ("puzzle puzzler", "puzzling"),
    "real-time strategy": ("strategy strategic", "strategist rts realtime"),
    "role-playing": ("role rpg", "roleplaying roleplay jrpg crpg arpg mmorpg"),
    "shooter": ("shooter", "shoot shooting fps tps shootemup gun"),
    "simulation": ("simulation simulator", "sim simulated simulating simulate"),
    "sport": ("sport", "sporting sporty soccer football basketball baseball hockey tennis golf"),
    "strategy": ("strategy strategic", "strategist strategizing rts"),
    "tactical": ("tactical", "tactic tactician"),
    "text adventure": ("text", "textual"),
    "trivia/board game": ("trivia board", "quiz boardgame"),
    "turn-based strategy": ("strategy strategic turn", "tbs"),
    "vehicular combat": ("vehicular combat", "vehicle car"),
    "bird view": ("bird", "birdseye top topdown overhead above aerial isometric overlooking"),
    "first person": ("first", "1st fps fpp"),
    "side view": ("side", "sideways sidescroller sidescrolling scroller scrolling profile 2d"),
    "third person": ("third", "3rd tps tpp shoulder behind"),
}
_TYPED = {what: (tuple(own.split()), frozenset(others.split())) for what, (own, others) in _WORDS.items()}
_MISTYPED, _TWICE = 3, 7  # letters, from which on a word is known with one slip, and with two


def unmentioned(sentence: str) -> frozenset[str]:
    """The boolean attributes, and the values of lists, that no word of `sentence` is, or resembles."""
    return frozenset(_TYPED).difference(*map(_meant, _words(sentence)))


@lru_cache(maxsize=2**14)
def _meant(word: str) -> frozenset[str]:
    return frozenset(
        what for what, (own, others) in _TYPED.items() if word in others or any(_resembles(word, one) for one in own)
    )


def _words(sentence: str) -> set[str]:
    """Words, and what they are without digits and a plural's s; those of "XboxOne" or "onSteam" too, and "game boy" as one."""
    sentence = unicodedata.normalize("NFKC", sentence)
    whole = re.findall(r"[^\W_]+", sentence.casefold())
    letters = re.findall(r"[^\W\d_]+", sentence.casefold())
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", sentence)
    apart = re.findall(r"[^\W\d_]+", parted.casefold())
    words = {*whole, *letters, *apart, *map("".join, pairwise(letters))}
    return words | {word.removesuffix("s") for word in words}


def _resembles(word: str, own: str) -> bool:
    slips = (len(own) >= _MISTYPED) + (len(own) >= _TWICE)
    return OSA.distance(word, own, score_cutoff=slips) <= slips

"""Which stores, systems and platforms a sentence mentions. They are proper nouns: an answer about another one is wrong.

Of ViGGO's 5,103 training rows, all that are about Steam, Linux, a Mac or a platform have its word in the sentence.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from rapidfuzz.distance import OSA

# By boolean attribute, and by platform: ViGGO's word, which may be mistyped, and other ones that people use.
_WORDS = {
    "available_on_steam": ("steam", "steamos"),
    "has_linux_release": ("linux", "ubuntu", "debian", "steamos"),
    "has_mac_release": ("mac", "macos", "macintosh", "macbook", "apple", "osx"),
    "PlayStation": ("playstation", "ps", "psp", "psn", "psx", "psvr", "psone", "vita", "sony"),
    "Xbox": ("xbox", "xbone"),
    "Nintendo": ("nintendo", "nes", "snes", "n64", "wii", "gamecube", "gameboy", "gba", "ds", "famicom", "switch"),
    "Nintendo Switch": ("switch",),
    "PC": ("pc", "pcvr", "computer", "desktop", "laptop", "windows", "win10", "win11"),
}
_MISTYPED, _TWICE = 3, 7  # letters, from which on a word is known with one slip, and with two


def unmentioned(sentence: str) -> frozenset[str]:
    """The boolean attributes and the platforms that no word of `sentence` is, or resembles."""
    return frozenset(_WORDS).difference(*map(_meant, _words(sentence)))


@lru_cache(maxsize=2**14)
def _meant(word: str) -> frozenset[str]:
    return frozenset(what for what, (own, *others) in _WORDS.items() if word in others or _resembles(word, own))


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

"""Which stores, systems and platforms a sentence mentions. They are proper nouns: an answer about another one is wrong.

Of ViGGO's 5,103 training rows, all that are about Steam, Linux, a Mac or a platform have its word in the sentence.
"""

import re

from rapidfuzz.distance import OSA

# By boolean attribute, and by platform: ViGGO's word first, then other ones that people use.
_WORDS = {
    "available_on_steam": ("steam",),
    "has_linux_release": ("linux", "ubuntu", "debian"),
    "has_mac_release": ("mac", "macos", "macintosh", "macbook", "apple", "osx"),
    "PlayStation": ("playstation", "station", "ps", "psp", "psn", "psx", "vita", "sony"),
    "Xbox": ("xbox", "box"),
    "Nintendo": ("nintendo", "nes", "snes", "wii", "gamecube", "gameboy", "ds", "switch"),
    "Nintendo Switch": ("switch",),
    "PC": ("pc", "computer", "desktop", "laptop", "windows"),
}
_LONG = 7  # letters, from which on a word is known with two slips, and not with one alone


def unmentioned(sentence: str) -> frozenset[str]:
    """The boolean attributes and the platforms of which `sentence` says nothing, not even mistyped."""
    words = _words(sentence)
    return frozenset(what for what, known in _WORDS.items() if not any(_is_close(word, one) for word in words for one in known))


def _words(sentence: str) -> set[str]:
    words = re.findall(r"[^\W\d_]+", sentence.casefold())  # "PS4" is "ps"
    return {*words, *(word.removesuffix("s") for word in words)}


def _is_close(word: str, known: str) -> bool:
    slips = 0 if len(known) < 3 else 1 if len(known) < _LONG else 2
    return OSA.distance(word, known, score_cutoff=slips) <= slips

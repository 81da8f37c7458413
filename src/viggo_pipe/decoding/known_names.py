"""The names, developers and dates in training's meaning representations."""

import re
from collections.abc import Iterable

from rapidfuzz import fuzz, process

from viggo_pipe.meaning.ontology import OPEN_ATTRIBUTES
from viggo_pipe.meaning.syntax import parse

# Of 753 names and developers in ViGGO's validation sentences, with a fifth of all words mistyped, 80 finds
# every one and 85 misses 1%. Without a cutoff, a model that knows misspellings takes each new name for one
# of a known game.
_SCORE_CUTOFF = 80  # of 100
# A known specifier is wrong where the sentence has a similar one: "funny" for "funniest".
_ATTRIBUTES = tuple(attribute for attribute in OPEN_ATTRIBUTES if attribute != "specifier")
_PROPER_NAME = re.compile(r"\b(name|developer)\[([^\[\]]+)\]")


class KnownNames:
    """Known values of open attributes, for sentences that misspell them.

    Args:
        meaning_representations: well-formed ones.
    """

    def __init__(self, meaning_representations: Iterable[str]):
        slots = {slot for text in meaning_representations for slot in parse(text).slots}
        self._slots = sorted(slot for slot in slots if slot.attribute in _ATTRIBUTES and slot.value)
        self._folded = [slot.value.casefold() for slot in self._slots]
        self._spellings: dict[tuple[str, str], list[str]] = {}
        for attribute, value in self._slots:
            self._spellings.setdefault((attribute, _fold(value)), []).append(value)

    def resembling(self, sentence: str) -> dict[str, list[str]]:
        """The known values that a part of `sentence` resembles, by attribute and sorted.

        They do at a normalized indel similarity of 80% with the most similar part. Case is ignored.
        """
        found: dict[str, list[str]] = {attribute: [] for attribute in _ATTRIBUTES}
        # cdist, unlike extract, lets other threads compute meanwhile.
        scores = process.cdist(
            [sentence.casefold()], self._folded, scorer=fuzz.partial_ratio, score_cutoff=_SCORE_CUTOFF
        )
        for index in scores[0].nonzero()[0]:
            slot = self._slots[index]
            found[slot.attribute].append(slot.value)
        return found

    def respelled(self, answer: str) -> str:
        """`answer` with the capitals and white space of its names and developers as they are known.

        A value that only contains a known name, or is a part of one, stays as it is. The grammar cannot do
        this, since a known name can be the beginning of one that stays.
        """
        return _PROPER_NAME.sub(lambda slot: f"{slot[1]}[{self._spelling(slot[1], slot[2])}]", answer)

    def _spelling(self, attribute: str, value: str) -> str:
        known = self._spellings.get((attribute, _fold(value)), [value])
        return value if value in known else known[0]


def _fold(value: str) -> str:
    return " ".join(value.casefold().split())

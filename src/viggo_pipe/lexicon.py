"""The names, developers and dates that training's meaning representations hold."""

from collections.abc import Iterable, Sequence

from rapidfuzz import fuzz, process

from viggo_pipe.meaning import parse
from viggo_pipe.ontology import OPEN_ATTRIBUTES

# Of 753 names and developers in ViGGO's validation sentences, with a fifth of all words mistyped, 80 finds every one, and
# 85 misses 1 %; without a cutoff, a model that knows misspellings takes each new name for one of a known game.
_ALIKE = 80  # of 100
# A known word in place of the sentence's own is an error here: "funny" where it says "funniest".
_FROM_THE_SENTENCE_ONLY = ("specifier",)


class Lexicon:
    """Known values of open attributes. A misspelled sentence does not contain the name that it means: it is found here."""

    def __init__(self, meaning_representations: Iterable[str]):
        """Collect the values of `meaning_representations`, which are well-formed."""
        attributes = [attribute for attribute in OPEN_ATTRIBUTES if attribute not in _FROM_THE_SENTENCE_ONLY]
        found: dict[str, set[str]] = {attribute: set() for attribute in attributes}
        for text in meaning_representations:
            for attribute, value in parse(text).slots:
                if attribute in found and value:
                    found[attribute].add(value)
        self._attributes = attributes
        self._entries = [(attribute, value) for attribute, values in found.items() for value in sorted(values)]
        self._folded = [value.casefold() for _, value in self._entries]

    def resembling(self, sentences: Sequence[str]) -> list[dict[str, list[str]]]:
        """For each of `sentences` the values, by attribute and sorted, that some part of it resembles, capitals aside.

        Resembling is a normalized indel similarity of 80 % with the part that is most alike.
        """
        folded = [sentence.casefold() for sentence in sentences]
        # All at once: meanwhile other threads can compute.
        alike = process.cdist(folded, self._folded, scorer=fuzz.partial_ratio, score_cutoff=_ALIKE)
        found: list[dict[str, list[str]]] = [{attribute: [] for attribute in self._attributes} for _ in sentences]
        for row, column in zip(*(places.tolist() for places in alike.nonzero()), strict=True):
            attribute, value = self._entries[column]
            found[row][attribute].append(value)
        return found

"""The names, developers and dates that training's meaning representations hold."""

from collections.abc import Iterable

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
        self._values = {attribute: sorted(values) for attribute, values in found.items()}
        self._folded = {attribute: [value.casefold() for value in values] for attribute, values in self._values.items()}

    def resembling(self, sentence: str) -> dict[str, list[str]]:
        """By attribute, the values, sorted, that some part of `sentence` resembles, capitals aside.

        Resembling is a normalized indel similarity of 80 % with the part that is most alike.
        """
        folded, found = sentence.casefold(), {}
        for attribute, choices in self._folded.items():
            alike = process.extract(folded, choices, scorer=fuzz.partial_ratio, score_cutoff=_ALIKE, limit=None)
            found[attribute] = [self._values[attribute][index] for index in sorted(index for _, _, index in alike)]
        return found

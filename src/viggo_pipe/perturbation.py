"""Sentences with other names, and as people type them: for training on more than was written, and for probing."""

import re
from collections.abc import Callable

from viggo_pipe.draw import Draw
from viggo_pipe.invented import ADJECTIVES, Vocabulary, date, studio, title, year
from viggo_pipe.meaning import Meaning, Slot, parse

_WORD = re.compile(r"[^\W\d_]{3,}")  # letters only: a slip in a number would make it another number
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBORS = {key: row[max(0, i - 1) : i] + row[i + 1 : i + 2] for row in _KEYS for i, key in enumerate(row)}


def swap_open_values(
    sentence: str, meaning_representation: str, draw: Draw, words: Vocabulary, every: bool = False
) -> tuple[str, str]:
    """Give the game and its developer other names, in sentence and meaning representation together.

    With `every`, years, dates and specifiers are swapped too. A value that the sentence does not hold to the letter stays.
    """
    meaning, slots = parse(meaning_representation), []
    inventions = {"name": lambda: title(draw, words), "developer": lambda: studio(draw, words)}
    if every:
        inventions |= {
            "release_year": lambda: year(draw),
            "exp_release_date": lambda: date(draw),
            "specifier": lambda: draw.one(ADJECTIVES),
        }
    for attribute, value in meaning.slots:
        pattern = rf"(?<!\w){re.escape(value)}(?!\w)"
        if attribute in inventions and value and re.search(pattern, sentence):
            invented = inventions[attribute]()
            if attribute == "specifier":
                sentence = re.sub(rf"\b([Aa])n? (?={re.escape(value)}(?!\w))", _article(invented), sentence)
            sentence, value = re.sub(pattern, lambda _, new=invented: new, sentence), invented
        slots.append(Slot(attribute, value))
    return sentence, str(Meaning(meaning.act, tuple(slots)))


def typing_slips(sentence: str, draw: Draw, share: float) -> str:
    """Mistype this share of the words with three or more letters: a letter dropped, doubled, hit beside, or two swapped."""
    return _WORD.sub(lambda match: _slip(match[0], draw) if draw.chance(share) else match[0], sentence)


def without_punctuation(sentence: str) -> str:
    """The sentence without its punctuation, but for what stands within a word ("don't", "hack-and-slash", "10+")."""
    return " ".join(re.sub(r"[.,;:!?\"()]+(?=\s|$)|(?<!\S)[\"(]+", "", sentence).split())


def in_plain_typing(sentence: str, draw: Draw) -> str:
    """The sentence in lower case, without punctuation, or both."""
    return draw.one((str.lower, without_punctuation, lambda text: without_punctuation(text).lower()))(sentence)


def _slip(word: str, draw: Draw) -> str:
    at = draw.below(len(word) - 1)
    before, here, there, after = word[:at], word[at], word[at + 1], word[at + 2 :]
    beside = draw.one(_NEIGHBORS.get(here.lower(), here))
    return draw.one(
        (
            before + there + here + after,
            before + there + after,
            before + here + here + there + after,
            before + (beside.upper() if here.isupper() else beside) + there + after,
        )
    )


def _article(word: str) -> Callable[[re.Match], str]:
    """Replaces a match of "a " or "an ", its "a" being group 1, by the one that stands before `word`."""
    return lambda match: f"{match[1]}{'n' if word[0] in 'aeiou' else ''} "

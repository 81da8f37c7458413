"""Changes of sentences, for augmentation and for the robustness sets: other names, and as people type."""

import re
from collections.abc import Callable

from viggo_pipe.augment.fake_names import ADJECTIVES, Vocabulary, date, studio, title, year
from viggo_pipe.core.rng import Rng
from viggo_pipe.meaning.syntax import Meaning, Slot, parse

_WORD = re.compile(r"[^\W\d_]{3,}")  # letters only: a slip in a number would make it another number
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBORS = {key: row[max(0, i - 1) : i] + row[i + 1 : i + 2] for row in _KEYS for i, key in enumerate(row)}


def swap_open_values(
    sentence: str, meaning_representation: str, rng: Rng, words: Vocabulary, every: bool = False
) -> tuple[str, str]:
    """Replace the names of the game and its developer, in sentence and meaning representation alike.

    With `every`, years, dates and specifiers too. A value that the sentence does not contain exactly stays.
    """
    meaning, slots = parse(meaning_representation), []
    inventions = {"name": lambda: title(rng, words), "developer": lambda: studio(rng, words)}
    if every:
        inventions |= {
            "release_year": lambda: year(rng),
            "exp_release_date": lambda: date(rng),
            "specifier": lambda: rng.choice(ADJECTIVES),
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


def typing_slips(sentence: str, rng: Rng, share: float) -> str:
    """Mistype this share of the words with three or more letters.

    A letter is dropped, doubled or replaced by its neighbor on the keyboard, or two are swapped.
    """
    return _WORD.sub(lambda match: _slip(match[0], rng) if rng.chance(share) else match[0], sentence)


def without_punctuation(sentence: str) -> str:
    """The sentence without punctuation, except within words ("don't", "hack-and-slash", "10+")."""
    return " ".join(re.sub(r"[.,;:!?\"()]+(?=\s|$)|(?<!\S)[\"(]+", "", sentence).split())


def in_plain_typing(sentence: str, rng: Rng) -> str:
    """The sentence in lower case, without punctuation, or both."""
    plain = without_punctuation(sentence)
    return rng.choice((sentence.lower(), plain, plain.lower()))


def _slip(word: str, rng: Rng) -> str:
    at = rng.below(len(word) - 1)
    before, here, there, after = word[:at], word[at], word[at + 1], word[at + 2 :]
    beside = rng.choice(_NEIGHBORS.get(here.lower(), here))
    return rng.choice(
        (
            before + there + here + after,
            before + there + after,
            before + here + here + there + after,
            before + (beside.upper() if here.isupper() else beside) + there + after,
        )
    )


def _article(word: str) -> Callable[[re.Match], str]:
    """A replacement for matches of "a " and "an " (group 1 is the "a"): the article of `word`."""
    return lambda match: f"{match[1]}{'n' if word[0] in 'aeiou' else ''} "

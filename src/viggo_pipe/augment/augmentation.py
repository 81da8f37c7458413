"""Variants of training rows: with other names, with typing slips, in plain typing."""

import re
from collections.abc import Iterable, Iterator

from viggo_pipe.augment.fake_names import TRAINING
from viggo_pipe.augment.perturbation import in_plain_typing, swap_open_values, typing_slips
from viggo_pipe.config.settings.augment import AugmentSettings
from viggo_pipe.core.rng import Rng
from viggo_pipe.meaning.syntax import parse

_MISTYPED = (0.075, 0.225)  # share of the words, the least and the most, in a variant with slips


def augmented(rows: Iterable[dict[str, str]], settings: AugmentSettings) -> Iterator[dict[str, str]]:
    """Yield variants of each row ({"id", "sentence", "meaning_representation"}), in the rows' order.

    The same row and settings give the same variants. One variant, with all shares 0, is the row itself.
    """
    for row in rows:
        for number in range(settings.variants):
            sentence, meaning = _variant(row, Rng(f"{row['id']}/{number}"), settings)
            identifier = row["id"] if settings.variants == 1 else f"{row['id']}/{number}"
            yield {"id": identifier, "sentence": sentence, "meaning_representation": meaning}


def _variant(row: dict[str, str], rng: Rng, settings: AugmentSettings) -> tuple[str, str]:
    sentence, meaning = row["sentence"], row["meaning_representation"]
    kind, mistyped = rng.uniform(), _MISTYPED[0] + rng.uniform() * (_MISTYPED[1] - _MISTYPED[0])
    if kind < settings.new_names:
        sentence, meaning = swap_open_values(sentence, meaning, rng, TRAINING, every=True)
        if rng.chance(settings.typing_slips):
            sentence = _slips_around_values(sentence, meaning, rng, mistyped)
    elif kind < settings.new_names + settings.typing_slips:
        sentence = typing_slips(sentence, rng, mistyped)
    elif kind < settings.new_names + settings.typing_slips + settings.plain_typing:
        sentence = in_plain_typing(sentence, rng)
    return sentence, meaning


def _slips_around_values(sentence: str, meaning: str, rng: Rng, share: float) -> str:
    """The sentence with slips, but not in the meaning's values: nobody could spell a mistyped new name."""
    values = sorted({slot.value for slot in parse(meaning).slots if slot.value}, key=len, reverse=True)
    parts = re.split(f"({'|'.join(map(re.escape, values))})", sentence) if values else [sentence]
    return "".join(part if part in values else typing_slips(part, rng, share) for part in parts)

"""More training rows than were written: variants with other names, and as people type."""

import re
from collections.abc import Iterable, Iterator

from viggo_pipe.draw import Draw
from viggo_pipe.invented import TRAINING
from viggo_pipe.meaning import parse
from viggo_pipe.perturbation import in_plain_typing, swap_open_values, typing_slips
from viggo_pipe.settings.augment import AugmentSettings

_MISTYPED = (0.075, 0.225)  # of the words: the least and the most in a variant with slips


def augmented(rows: Iterable[dict[str, str]], settings: AugmentSettings) -> Iterator[dict[str, str]]:
    """Yield `variants` of each row ({"id", "sentence", "meaning_representation"}), one row's after another's.

    The same row and settings give the same variants. With one variant and no share of any kind, they are the rows.
    """
    for row in rows:
        for number in range(settings.variants):
            sentence, meaning = _variant(row, Draw(f"{row['id']}/{number}"), settings)
            identifier = row["id"] if settings.variants == 1 else f"{row['id']}/{number}"
            yield {"id": identifier, "sentence": sentence, "meaning_representation": meaning}


def _variant(row: dict[str, str], draw: Draw, settings: AugmentSettings) -> tuple[str, str]:
    sentence, meaning = row["sentence"], row["meaning_representation"]
    kind, mistyped = draw.share(), _MISTYPED[0] + draw.share() * (_MISTYPED[1] - _MISTYPED[0])
    if kind < settings.new_names:
        sentence, meaning = swap_open_values(sentence, meaning, draw, TRAINING, every=True)
        if draw.chance(settings.typing_slips):
            sentence = _slips_around_values(sentence, meaning, draw, mistyped)
    elif kind < settings.new_names + settings.typing_slips:
        sentence = typing_slips(sentence, draw, mistyped)
    elif kind < settings.new_names + settings.typing_slips + settings.plain_typing:
        sentence = in_plain_typing(sentence, draw)
    return sentence, meaning


def _slips_around_values(sentence: str, meaning: str, draw: Draw, share: float) -> str:
    """Slips, but none in the meaning's values: nobody can tell how an unknown name that is mistyped should be spelled."""
    values = sorted({slot.value for slot in parse(meaning).slots if slot.value}, key=len, reverse=True)
    parts = re.split(f"({'|'.join(map(re.escape, values))})", sentence) if values else [sentence]
    return "".join(part if part in values else typing_slips(part, draw, share) for part in parts)

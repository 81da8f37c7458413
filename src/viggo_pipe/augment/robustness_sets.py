"""Robustness sets: the predicted split's sentences about invented games, and as people type them.

A score on the split itself cannot show robustness: every game of ViGGO's test split is in its training split.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from viggo_pipe.augment.fake_names import ROBUSTNESS as INVENTED
from viggo_pipe.augment.perturbation import swap_open_values, typing_slips, without_punctuation
from viggo_pipe.config.settings.robustness import RobustnessSettings
from viggo_pipe.core.rng import Rng

_MISTYPED = 0.1  # share of the words of three or more letters
_Change = Callable[[str, str, Rng], tuple[str, str]]
_SETS: Mapping[str, _Change] = {
    "unseen_names": lambda sentence, meaning, rng: swap_open_values(sentence, meaning, rng, INVENTED),
    "typing_slips": lambda sentence, meaning, rng: (typing_slips(sentence, rng, _MISTYPED), meaning),
    "lower_case": lambda sentence, meaning, rng: (sentence.lower(), meaning),
    "no_punctuation": lambda sentence, meaning, rng: (without_punctuation(sentence), meaning),
}


def robustness_sets(
    rows: Iterable[dict[str, str]], settings: RobustnessSettings
) -> dict[str, list[dict[str, str]]]:
    """The rows of each robustness set, by its name, made of the first `settings.rows` of `rows`.

    Ids stay. Sentences change and, with new names, meaning representations. The same rows give the same sets.
    """
    rows = list(islice(rows, settings.rows))
    return {name: [_changed(row, name, change) for row in rows] for name, change in _SETS.items()}


def _changed(row: dict[str, str], name: str, change: _Change) -> dict[str, str]:
    sentence, meaning = change(row["sentence"], row["meaning_representation"], Rng(f"{name}/{row['id']}"))
    return {"id": row["id"], "sentence": sentence, "meaning_representation": meaning}

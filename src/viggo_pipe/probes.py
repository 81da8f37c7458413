"""Probes: the predicted split's sentences about unheard-of games, and as people type them, with what is then right.

They ask what a score on the split itself cannot tell: every game of ViGGO's test split is one of its training split.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from viggo_pipe.draw import Draw
from viggo_pipe.invented import PROBES as INVENTED
from viggo_pipe.perturbation import swap_open_values, typing_slips, without_punctuation
from viggo_pipe.settings.probe import ProbeSettings

_MISTYPED = 0.1  # of the words of three or more letters
_Probe = Callable[[str, str, Draw], tuple[str, str]]
_PROBES: Mapping[str, _Probe] = {
    "unseen_names": lambda sentence, meaning, draw: swap_open_values(sentence, meaning, draw, INVENTED),
    "typing_slips": lambda sentence, meaning, draw: (typing_slips(sentence, draw, _MISTYPED), meaning),
    "lower_case": lambda sentence, meaning, draw: (sentence.lower(), meaning),
    "no_punctuation": lambda sentence, meaning, draw: (without_punctuation(sentence), meaning),
}


def probe_rows(rows: Iterable[dict[str, str]], settings: ProbeSettings) -> dict[str, list[dict[str, str]]]:
    """The rows of each probe, made of the first `settings.rows` of `rows`.

    Ids are kept; sentences are not, nor, where names are new, meaning representations. The same rows give the same probes.
    """
    rows = list(islice(rows, settings.rows))
    return {name: [_asked(row, name, probe) for row in rows] for name, probe in _PROBES.items()}


def _asked(row: dict[str, str], name: str, probe: _Probe) -> dict[str, str]:
    sentence, meaning = probe(row["sentence"], row["meaning_representation"], Draw(f"{name}/{row['id']}"))
    return {"id": row["id"], "sentence": sentence, "meaning_representation": meaning}

"""Adds judgements up: metrics, and tables by attribute and dialogue act.

Memory does not grow with the number of examples.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from viggo_pipe.config.settings.score import ScoreSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.evaluation.bootstrap import bootstrap_interval
from viggo_pipe.evaluation.scoring import Judgement
from viggo_pipe.meaning.ontology import ATTRIBUTES, DIALOGUE_ACTS

NOT_WELL_FORMED = "(none)"  # the predicted dialogue act of what does not parse
OUTSIDE_ONTOLOGY = "(other)"  # any dialogue act or attribute that is not ViGGO's: there is no end of them
_SLOTS = ("correct", "missing", "extra")
_DIGITS = 4


class MetricAccumulator:
    """What judgements add up to. Shares lie between 0 and 1, with 4 decimals; a share of nothing is 0.0.

    Slots are micro-averaged over all examples, as (attribute, single value) with repetitions; see
    `Judgement`.
    """

    def __init__(self) -> None:
        self._by_act: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._by_attribute: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._acts: Counter[tuple[str, str]] = Counter()
        self._outcomes: Counter[tuple[int, ...]] = Counter()

    @property
    def examples(self) -> int:
        """How many judgements were added."""
        return self._acts.total()

    def add(self, judgement: Judgement) -> None:
        """Count one example."""
        act = _known(judgement.act, DIALOGUE_ACTS)
        predicted_act = NOT_WELL_FORMED
        if judgement.predicted_act is not None:
            predicted_act = _known(judgement.predicted_act, DIALOGUE_ACTS)
        self._acts[act, predicted_act] += 1
        slots = {name: getattr(judgement, name) for name in _SLOTS}
        self._by_act[act].update(
            examples=1,
            exact=judgement.exact,
            unordered=judgement.unordered,
            act_correct=judgement.act_correct,
            attributes_correct=judgement.attributes_correct,
            well_formed=judgement.well_formed,
            in_ontology=judgement.in_ontology,
            open_values=judgement.open_values,
            hallucinated=len(judgement.hallucinated),
            **{name: len(slots[name]) for name in _SLOTS},
        )
        for name in _SLOTS:
            for slot in slots[name]:
                self._by_attribute[_known(slot.attribute, ATTRIBUTES)][name] += 1
        self._outcomes[(int(judgement.exact), *(len(slots[name]) for name in _SLOTS))] += 1

    def metrics(self, settings: ScoreSettings) -> dict[str, float | int]:
        """The metrics over all examples, as metrics/base.json and metrics/tuned.json hold them.

        - `examples`: how many there are.
        - `exact_match`: share with prediction.strip() == reference.strip(), the published metric;
          `exact_match_low` and `exact_match_high`: its 95% bootstrap interval.
        - `exact_match_unordered`: share that match but for the order of slots and of the values in a list.
        - `dialogue_act_accuracy`: share with the reference's dialogue act.
        - `slot_precision`, `slot_recall`, `slot_f1`: of slots, micro-averaged; `slot_f1_low`, `slot_f1_high`
          as above.
        - `attribute_set_accuracy`: share with the reference's set of attributes, whatever the values.
        - `well_formed`: share that parse.
        - `in_ontology`: share that parse and hold only ViGGO's dialogue acts, attributes and closed values.
        - `hallucinated_values`: of the values predicted for open attributes, the share not standing in the
          sentence.

        Raises:
            InputError: no example was added.
        """
        if not self._acts:
            raise InputError("there is no prediction to score; run the stage predict first: dvc repro")
        exact = bootstrap_interval(self._outcomes, lambda sums: sums[0] / self.examples, settings)
        f1 = bootstrap_interval(self._outcomes, lambda sums: _f1(*sums[1:]), settings)
        return {
            **_shares(sum(self._by_act.values(), Counter())),
            "exact_match_low": round(exact[0], _DIGITS),
            "exact_match_high": round(exact[1], _DIGITS),
            "slot_f1_low": round(f1[0], _DIGITS),
            "slot_f1_high": round(f1[1], _DIGITS),
        }

    def by_dialogue_act(self) -> Iterator[dict[str, str | float | int]]:
        """The metrics without intervals, for each dialogue act of the references, in the ontology's order."""
        for act in (*DIALOGUE_ACTS, OUTSIDE_ONTOLOGY):
            if act in self._by_act:
                yield {"dialogue_act": act, **_shares(self._by_act[act])}

    def by_attribute(self) -> Iterator[dict[str, str | float | int]]:
        """`attribute`, `precision`, `recall`, `f1`, and how many slots with it are `gold` and `predicted`.

        All of ViGGO's attributes, in the ontology's order, and one row for others if there are any.
        """
        for attribute in (*ATTRIBUTES, OUTSIDE_ONTOLOGY):
            counts = self._by_attribute.get(attribute, Counter())
            if counts or attribute in ATTRIBUTES:
                precision, recall, f1 = _precision_recall_f1(counts)
                yield {
                    "attribute": attribute,
                    "precision": precision,
                    "recall": recall,
                    "f1": f1,
                    "gold": counts["correct"] + counts["missing"],
                    "predicted": counts["correct"] + counts["extra"],
                }

    def dialogue_acts(self) -> Iterator[dict[str, str]]:
        """`actual` and `predicted` dialogue act of each example, sorted, for DVC's template `confusion`."""
        for (actual, predicted), count in sorted(self._acts.items()):
            for _ in range(count):
                yield {"actual": actual, "predicted": predicted}


def _known(word: str, known: tuple[str, ...]) -> str:
    return word if word in known else OUTSIDE_ONTOLOGY


def _shares(counts: Counter[str]) -> dict[str, float | int]:
    def share(name: str) -> float:
        return _ratio(counts[name], counts["examples"])

    precision, recall, f1 = _precision_recall_f1(counts)
    return {
        "examples": counts["examples"],
        "exact_match": share("exact"),
        "exact_match_unordered": share("unordered"),
        "dialogue_act_accuracy": share("act_correct"),
        "slot_precision": precision,
        "slot_recall": recall,
        "slot_f1": f1,
        "attribute_set_accuracy": share("attributes_correct"),
        "well_formed": share("well_formed"),
        "in_ontology": share("in_ontology"),
        "hallucinated_values": _ratio(counts["hallucinated"], counts["open_values"]),
    }


def _precision_recall_f1(counts: Counter[str]) -> tuple[float, float, float]:
    correct, missing, extra = (counts[name] for name in _SLOTS)
    return (
        _ratio(correct, correct + extra),
        _ratio(correct, correct + missing),
        _ratio(2 * correct, 2 * correct + missing + extra),
    )


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, _DIGITS) if whole else 0.0


def _f1(correct: np.ndarray, missing: np.ndarray, extra: np.ndarray) -> np.ndarray:
    """Slot F1 of each resample; no denominator is 0, since every reference has a slot."""
    return 2 * correct / (2 * correct + missing + extra)

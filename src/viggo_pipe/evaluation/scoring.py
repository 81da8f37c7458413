"""Judges one prediction against its reference. Metrics, comparison and report all rest on it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from viggo_pipe.core.errors import InputError
from viggo_pipe.meaning.ontology import ATTRIBUTES, CLOSED_VALUES, DIALOGUE_ACTS, OPEN_ATTRIBUTES
from viggo_pipe.meaning.syntax import Meaning, MeaningError, Slot, canonical, parse


class ErrorKind(StrEnum):
    """What can be wrong with a prediction; one that is not well-formed has no other error.

    WRONG_VALUE: an attribute of both has other values. MISSING_ATTRIBUTE, EXTRA_ATTRIBUTE: one of them lacks
    it. WRONG_ORDER: dialogue act and slots are right, but ordered or grouped otherwise than in the reference.
    """

    NOT_WELL_FORMED = "not well-formed"
    WRONG_ACT = "wrong dialogue act"
    WRONG_VALUE = "wrong value"
    MISSING_ATTRIBUTE = "missing attribute"
    EXTRA_ATTRIBUTE = "extra attribute"
    WRONG_ORDER = "wrong order"
    OUTSIDE_ONTOLOGY = "outside the ontology"
    HALLUCINATED_VALUE = "hallucinated value"


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a prediction compares with its reference.

    Slots here have single values: an entry of a list attribute is a slot of its own, so that one wrong
    platform among four costs one slot, not all of them. A slot predicted twice that stands once in the
    reference is correct and extra.

    Attributes:
        exact: the texts are equal, but for white space around them.
        unordered: they mean the same: equal but for the order of the slots and of the values in a list.
        act: the reference's dialogue act.
        predicted_act: the prediction's; None where it is not well-formed.
        in_ontology: the prediction is well-formed and all its dialogue act, attributes and closed values are
            ViGGO's.
        correct: the slots of both.
        missing: the slots of the reference alone: all of them where the prediction is not well-formed.
        extra: the slots of the prediction alone.
        open_values: how many values, empty ones apart, the prediction gives to open attributes.
        hallucinated: the slots with those of them that do not stand in the sentence, case and white space
            aside.
    """

    exact: bool
    unordered: bool
    act: str
    predicted_act: str | None
    in_ontology: bool
    correct: tuple[Slot, ...]
    missing: tuple[Slot, ...]
    extra: tuple[Slot, ...]
    open_values: int
    hallucinated: tuple[Slot, ...]

    @property
    def well_formed(self) -> bool:
        """Whether the prediction is a meaning representation, of known words or not."""
        return self.predicted_act is not None

    @property
    def act_correct(self) -> bool:
        """Whether the dialogue act is the reference's."""
        return self.predicted_act == self.act

    @property
    def attributes_correct(self) -> bool:
        """Whether the set of attributes is the reference's, whatever their values."""
        return self.well_formed and self._reference_attributes() == self._predicted_attributes()

    @property
    def errors(self) -> tuple[ErrorKind, ...]:
        """What is wrong, in the order of `ErrorKind`. An exact match has the reference's own errors."""
        if not self.well_formed:
            return (ErrorKind.NOT_WELL_FORMED,)
        reference, predicted = self._reference_attributes(), self._predicted_attributes()
        found = {
            ErrorKind.WRONG_ACT: not self.act_correct,
            ErrorKind.WRONG_VALUE: bool(_attributes(self.missing + self.extra) & reference & predicted),
            ErrorKind.MISSING_ATTRIBUTE: bool(reference - predicted),
            ErrorKind.EXTRA_ATTRIBUTE: bool(predicted - reference),
            ErrorKind.WRONG_ORDER: self.act_correct and not (self.exact or self.missing or self.extra),
            ErrorKind.OUTSIDE_ONTOLOGY: not self.in_ontology,
            ErrorKind.HALLUCINATED_VALUE: bool(self.hallucinated),
        }
        return tuple(kind for kind, present in found.items() if present)

    def _reference_attributes(self) -> set[str]:
        return _attributes(self.correct + self.missing)

    def _predicted_attributes(self) -> set[str]:
        return _attributes(self.correct + self.extra)


def exact_match(reference: str, prediction: str) -> bool:
    """Strict exact match as published on ViGGO: `prediction.strip() == reference.strip()`."""
    return prediction.strip() == reference.strip()


def judge(sentence: str, reference: str, prediction: str) -> Judgement:
    """Judge `prediction` for `sentence` against `reference`; white space around the two does not count.

    A prediction that does not parse has no dialogue act and no slots. Time is linear in the lengths, but for
    sorting slots.

    Raises:
        InputError: `reference` is not a meaning representation.
    """
    gold = _parse_reference(reference)
    try:
        predicted = parse(prediction.strip())
    except MeaningError:
        predicted = None
    gold_slots = _single_values(gold)
    slots: Counter[Slot] = Counter() if predicted is None else _single_values(predicted)
    open_slots = [slot for slot in slots.elements() if slot.attribute in OPEN_ATTRIBUTES and slot.value]
    folded_sentence = _fold(sentence)
    return Judgement(
        exact=exact_match(reference, prediction),
        unordered=predicted is not None and canonical(predicted) == canonical(gold),
        act=gold.act,
        predicted_act=None if predicted is None else predicted.act,
        in_ontology=predicted is not None and _in_ontology(predicted.act, slots),
        correct=tuple((gold_slots & slots).elements()),
        missing=tuple((gold_slots - slots).elements()),
        extra=tuple((slots - gold_slots).elements()),
        open_values=len(open_slots),
        hallucinated=tuple(slot for slot in open_slots if _fold(slot.value) not in folded_sentence),
    )


def _parse_reference(reference: str) -> Meaning:
    try:
        return parse(reference.strip())
    except MeaningError as error:
        raise InputError(
            f"the reference {reference[:80]!r} is not a meaning representation: {error}; mend it in the "
            "dataset, then `dvc repro`"
        ) from error


def _single_values(meaning: Meaning) -> Counter[Slot]:
    return Counter(Slot(slot.attribute, value) for slot in meaning.slots for value in slot.values)


def _attributes(slots: Iterable[Slot]) -> set[str]:
    return {slot.attribute for slot in slots}


def _in_ontology(act: str, slots: Iterable[Slot]) -> bool:
    """Open values are free; a closed one is among the attribute's, or empty where the act asks for it.

    Any act may have any attribute here, which the grammar of constrained decoding is stricter about.
    """
    empty = ("",) if act == "request_attribute" else ()
    return act in DIALOGUE_ACTS and all(
        slot.attribute in ATTRIBUTES
        and (slot.attribute in OPEN_ATTRIBUTES or slot.value in (*CLOSED_VALUES[slot.attribute], *empty))
        for slot in slots
    )


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())

"""The examples of the report: both models' predictions beside the reference, with what differs marked."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypedDict

from viggo_pipe.evaluation.predictions import Prediction
from viggo_pipe.evaluation.scoring import Judgement, judge
from viggo_pipe.meaning.syntax import MeaningError, Slot, parse

# A piece of text, and whether it differs from what it stands beside.
Segment = tuple[str, bool]


class Answer(TypedDict):
    """A model's prediction: its segments, the kinds of its errors, and whether it matches exactly."""

    text: list[Segment]
    errors: list[str]
    exact: bool


class Example(TypedDict):
    """An example as the page's browser shows it; in `gold`, what the tuned model missed is marked."""

    id: str
    sentence: str
    act: str
    attributes: list[str]
    gold: list[Segment]
    base: Answer
    tuned: Answer


def report_examples(pairs: Iterable[tuple[Prediction, Prediction]]) -> Iterator[tuple[Example, Judgement]]:
    """Yield an example for each pair of base and tuned prediction, with the judgement of the tuned one.

    Raises:
        InputError: a reference is not a meaning representation.
    """
    for base, tuned in pairs:
        base_judgement, judgement = (
            judge(row.sentence, row.reference, row.prediction) for row in (base, tuned)
        )
        gold = parse(tuned.reference.strip())
        wrong_act = judgement.well_formed and not judgement.act_correct
        example = Example(
            id=tuned.id,
            sentence=tuned.sentence,
            act=gold.act,
            attributes=sorted({slot.attribute for slot in gold.slots}),
            gold=_segments(tuned.reference, judgement.missing if judgement.well_formed else (), wrong_act),
            base=_answer(base, base_judgement),
            tuned=_answer(tuned, judgement),
        )
        yield example, judgement


def _answer(row: Prediction, judgement: Judgement) -> Answer:
    return Answer(
        text=_segments(row.prediction, judgement.extra, not judgement.act_correct),
        errors=[] if judgement.exact else [str(kind) for kind in judgement.errors],
        exact=judgement.exact,
    )


def _segments(text: str, differing: Iterable[Slot], act_differs: bool) -> list[Segment]:
    """Cut `text` where its marking changes; what is not a meaning representation differs as a whole."""
    try:
        meaning = parse(text.strip())
    except MeaningError:
        return [(text, True)] if text else []
    left = Counter(differing)
    pieces: list[Segment] = [(meaning.act, act_differs), ("(", False)]
    for index, slot in enumerate(meaning.slots):
        values = []
        for value in slot.values:
            single = Slot(slot.attribute, value)
            differs = left[single] > 0
            left[single] -= differs
            values.append((value, differs))
        whole = ("", True) in values  # an empty value has no text to mark, so its slot is
        pieces += [(", " if index else "", False), (f"{slot.attribute}[", whole)]
        for number, (value, differs) in enumerate(values):
            pieces += [(", " if number else "", whole), (value, whole or differs)]
        pieces.append(("]", whole))
    pieces.append((")", False))
    return _joined(pieces)


def _joined(pieces: list[Segment]) -> list[Segment]:
    joined: list[Segment] = []
    for text, differs in pieces:
        if joined and joined[-1][1] == differs:
            joined[-1] = (joined[-1][0] + text, differs)
        elif text:
            joined.append((text, differs))
    return joined

"""The syntax of a meaning representation (MR): `act(attribute[value], attribute[value], ...)`.

Parsing is strict: a string is an MR, and then `str(parse(text)) == text`, or raises a `MeaningError` that
names the position. One scan goes over the text, so time is linear in its length.
"""

import re
from typing import NamedTuple

from viggo_pipe.meaning.ontology import ATTRIBUTES, CLOSED_VALUES, LIST_ATTRIBUTES

_NAME = re.compile(r"[a-z][a-z_]*", re.ASCII)
_VALUE = re.compile(r"[^\[\]\r\n]*")
_SEPARATOR = ", "


class MeaningError(ValueError):
    """The text is not a meaning representation.

    Attributes:
        position: index, in characters, of the first character that cannot belong to one.
    """

    def __init__(self, message: str, position: int):
        super().__init__(f"{message} at character {position}")
        self.position = position


class Slot(NamedTuple):
    """An attribute with its value, both as written; the value may be empty (`request_attribute(esrb[])`)."""

    attribute: str
    value: str

    @property
    def values(self) -> tuple[str, ...]:
        """The single values: a list attribute's entries, any other attribute's one value."""
        return tuple(self.value.split(_SEPARATOR)) if self.attribute in LIST_ATTRIBUTES else (self.value,)


class Meaning(NamedTuple):
    """A parsed meaning representation: a dialogue act and its slots, in the order written."""

    act: str
    slots: tuple[Slot, ...]

    def __str__(self) -> str:
        return f"{self.act}({_SEPARATOR.join(f'{slot.attribute}[{slot.value}]' for slot in self.slots)})"


def parse(text: str) -> Meaning:
    """Parse `text` as a whole.

    Raises:
        MeaningError: `text` is not exactly one MR; surrounding white space is not skipped.
    """
    act, position = _take(text, 0, _NAME, "expected a dialogue act")
    position = _expect(text, position, "(")
    slots = []
    while True:
        attribute, position = _take(text, position, _NAME, "expected an attribute")
        position = _expect(text, position, "[")
        value, position = _take(text, position, _VALUE, "expected a value")
        position = _expect(text, position, "]")
        slots.append(Slot(attribute, value))
        if not text.startswith(_SEPARATOR, position):
            break
        position += len(_SEPARATOR)
    position = _expect(text, position, ")")
    if position != len(text):
        raise MeaningError("expected the end", position)
    return Meaning(act, tuple(slots))


def canonical(meaning: Meaning) -> Meaning:
    """The same meaning with slots in ViGGO's gold order and list values in the ontology's.

    Unknown attributes and values come last, in alphabetical order. Two MRs that differ only in order have one
    canonical form.
    """

    def sorted_values(slot: Slot) -> Slot:
        known = CLOSED_VALUES.get(slot.attribute, ())
        return Slot(
            slot.attribute,
            _SEPARATOR.join(sorted(slot.values, key=lambda value: (_rank(known, value), value))),
        )

    slots = (sorted_values(slot) for slot in meaning.slots)
    return Meaning(
        meaning.act, tuple(sorted(slots, key=lambda slot: (_rank(ATTRIBUTES, slot.attribute), slot)))
    )


def _rank(order: tuple[str, ...], item: str) -> int:
    return order.index(item) if item in order else len(order)


def _take(text: str, position: int, pattern: re.Pattern, complaint: str) -> tuple[str, int]:
    match = pattern.match(text, position)
    if match is None:
        raise MeaningError(complaint, position)
    return match[0], match.end()


def _expect(text: str, position: int, character: str) -> int:
    if not text.startswith(character, position):
        raise MeaningError(f"expected {character!r}", position)
    return position + 1

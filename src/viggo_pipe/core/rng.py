"""Random choices that are the same on every platform and Python version."""

import random
from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class Rng:
    """Random choices from a seed, by `random.random()` alone.

    Of Python's generator, only that is promised not to change.
    """

    def __init__(self, seed: str):
        self._random = random.Random(seed)
        self._decks: dict[str, list[Any]] = {}

    def uniform(self) -> float:
        """A number from 0 up to, but not including, 1."""
        return self._random.random()

    def chance(self, share: float) -> bool:
        """True in this share of all cases."""
        return self.uniform() < share

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1."""
        return int(self.uniform() * bound)

    def choice(self, items: Sequence[T]) -> T:
        """One of `items`."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different ones of `items`, in random order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(count)]

    def deal(self, deck: str, cards: Sequence[T]) -> T:
        """A card of the named deck, which is shuffled anew when it is empty. All come equally often."""
        if not self._decks.get(deck):
            self._decks[deck] = self.sample(cards, len(cards))
        return self._decks[deck].pop()

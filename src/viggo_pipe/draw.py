"""Random choices that are the same on every platform and Python version."""

import random
from collections.abc import Sequence


class Draw:
    """Draws from a seed by `random.random()` alone: of Python's generator, only that is promised not to change."""

    def __init__(self, seed: str):
        self._random = random.Random(seed)
        self._decks: dict[str, list] = {}

    def share(self) -> float:
        """A number from 0 up to, but not including, 1."""
        return self._random.random()

    def chance(self, share: float) -> bool:
        """True in this share of all cases."""
        return self.share() < share

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1."""
        return int(self.share() * bound)

    def one(self, items: Sequence):
        """One of `items`."""
        return items[self.below(len(items))]

    def some(self, items: Sequence, count: int) -> list:
        """`count` different ones of `items`, in random order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(count)]

    def deal(self, deck: str, cards: Sequence):
        """A card of the named deck, which is shuffled anew when it is empty: in the long run all cards come equally often."""
        if not self._decks.get(deck):
            self._decks[deck] = self.some(cards, len(cards))
        return self._decks[deck].pop()

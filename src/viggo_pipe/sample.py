"""The synthetic sample: a corpus in ViGGO's schema, generated from authored phrases, for runs without a network.

A sentence is put together from a frame of its dialogue act and a description of a game, to which each slot adds one
phrase; frames, phrases, games and their order combine freely, so that sentences hardly repeat. Splits share neither a game nor
a developer. It says nothing about ViGGO's own figures.
"""

import random
from collections.abc import Sequence

from viggo_pipe import sample_patterns as text
from viggo_pipe.meaning import Meaning, Slot, canonical
from viggo_pipe.ontology import CLOSED_VALUES
from viggo_pipe.settings.dataset import SampleSettings

# Rows of each act in a hundred, as in ViGGO but for a floor of 6.
_ACT_WEIGHTS = {
    "inform": 30,
    "give_opinion": 14,
    "verify_attribute": 12,
    "confirm": 8,
    "recommend": 8,
    "suggest": 8,
    "request": 8,
    "request_explanation": 6,
    "request_attribute": 6,
}
_TITLE_SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
_DESCRIBING = ("release_year", "developer", "esrb", "genres", "player_perspective", "has_multiplayer", "platforms")
_PLATFORM_LISTS = (
    ("PC",), ("PlayStation",), ("Xbox",), ("Nintendo",), ("Nintendo Switch",), ("PlayStation", "PC"), ("PlayStation", "Xbox"),
    ("Xbox", "PC"), ("Nintendo Switch", "PC"), ("PlayStation", "Xbox", "PC"),
)  # fmt: skip


def generate_sample(settings: SampleSettings) -> dict[str, list[dict[str, str]]]:
    """Generate the splits train, validation and test: rows of {"id", "sentence", "meaning_representation"}.

    The same settings give the same rows on every platform, and a split's rows do not depend on the other splits' sizes.
    """
    sizes = {"train": settings.train, "validation": settings.validation, "test": settings.test}
    titles = _partition(_titles(), settings.seed)
    studios = _partition([f"{a} {b}" for a in text.STUDIO_FIRST for b in text.STUDIO_SECOND], settings.seed)
    return {
        split: _Writer(_Draw(f"{settings.seed}/{split}"), titles[split], studios[split]).rows(split, size)
        for split, size in sizes.items()
    }


class _Draw:
    """Random choices that are the same on every Python version: only `random()` is promised to be."""

    def __init__(self, seed: str):
        self._random = random.Random(seed)

    def below(self, bound: int) -> int:
        return int(self._random.random() * bound)

    def one(self, items: Sequence):
        return items[self.below(len(items))]

    def some(self, items: Sequence, count: int) -> list:
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(count)]

    def weighted(self, weights: dict[str, int]) -> str:
        point = self.below(sum(weights.values()))
        for item, weight in weights.items():
            point -= weight
            if point < 0:
                return item
        raise AssertionError("unreachable: the point lies below the sum of the weights")


class _Writer:
    """Words random meanings about the games and studios of one split."""

    def __init__(self, draw: _Draw, titles: list[str], studios: list[str]):
        self._draw, self._titles, self._studios = draw, titles, studios

    def rows(self, split: str, count: int) -> list[dict[str, str]]:
        rows, seen = [], set()
        while len(rows) < count:
            meaning, sentence = self._utterance()
            # Attribute questions have no slot values to vary them: a few may come twice, any other sentence may not.
            if sentence in seen and meaning.act != "request_attribute":
                continue
            seen.add(sentence)
            rows.append({"id": f"sample-{split}-{len(rows) + 1}", "sentence": sentence, "meaning_representation": str(meaning)})
        return rows

    def _utterance(self) -> tuple[Meaning, str]:
        act, draw = self._draw.weighted(_ACT_WEIGHTS), self._draw
        if act == "request_attribute":
            attribute = draw.one(list(text.ATTRIBUTE_QUESTIONS))
            return Meaning(act, (Slot(attribute, ""),)), self._softly(draw.one(text.ATTRIBUTE_QUESTIONS[attribute]))
        slots: dict[str, str] = {}
        if act not in {"request", "request_explanation"}:
            slots["name"] = draw.one(self._titles)
        if act in {"give_opinion", "verify_attribute", "request_explanation"}:
            slots["rating"] = draw.one(CLOSED_VALUES["rating"])
        if act == "request":
            slots["specifier"] = draw.one(text.SPECIFIERS)
        described = {attribute: self._value(attribute) for attribute in self._attributes(act)}
        closing = self._inform_extras(slots, described) if act == "inform" else ""
        sentence = self._frame(act, slots).format(
            **slots,
            game=self._describe(described, "game"),
            games=self._describe(described, "games"),
            a_game=_with_article(self._rated(act, slots) + self._describe(described, "game")),
            the_game="the " + self._describe(described, "game"),
        )
        meaning = canonical(Meaning(act, tuple(Slot(*item) for item in (slots | described).items())))
        return meaning, (sentence if act == "inform" else self._softly(sentence)) + closing

    def _attributes(self, act: str) -> list[str]:
        count = 1 + self._draw.below(3 if act == "inform" else 2)
        return self._draw.some(_DESCRIBING, count)

    def _inform_extras(self, slots: dict[str, str], described: dict[str, str]) -> str:
        """Give an `inform` what only it has: a rating, a release to come, availability; return its second sentence."""
        draw = self._draw
        if draw.below(2):
            slots["rating"] = draw.one(CLOSED_VALUES["rating"])
        if draw.below(6) == 0:
            described.pop("release_year", None)
            described["exp_release_date"] = f"{draw.one(text.RELEASE_DATES)}, {2025 + draw.below(6)}"
        if draw.below(2):
            return ""
        told = draw.some(list(text.AVAILABILITY), 1 + draw.below(2))
        slots |= {attribute: draw.one(("yes", "no")) for attribute in told}
        clauses = " and ".join(draw.one(text.AVAILABILITY[attribute][slots[attribute]]) for attribute in told)
        return f" {_capital(clauses)}."

    def _frame(self, act: str, slots: dict[str, str]) -> str:
        draw = self._draw
        if act == "give_opinion":
            return draw.one(text.OPINION_FRAMES[slots["rating"]])
        if act == "request_explanation":
            return draw.one(text.EXPLANATION_FRAMES[slots["rating"]])
        if act == "verify_attribute":
            return f"{draw.one(text.VERIFY_OPENINGS[slots['rating']])} {draw.one(text.VERIFY_QUESTIONS)}"
        return draw.one(text.REQUEST_FRAMES if act == "request" else text.FRAMES[act])

    def _softly(self, sentence: str) -> str:
        opening = self._draw.one(text.SOFTENERS)
        keeps_capital = not opening or sentence.startswith("I ") or sentence.split()[0] in text.TITLE_FIRST + text.TITLE_SECOND
        return opening + (sentence if keeps_capital else sentence[0].lower() + sentence[1:])

    def _rated(self, act: str, slots: dict[str, str]) -> str:
        return f"{self._draw.one(text.OUR_RATING[slots['rating']])} " if act == "inform" and "rating" in slots else ""

    def _value(self, attribute: str) -> str:
        draw = self._draw
        if attribute == "release_year":
            return str(1994 + draw.below(31))
        if attribute == "developer":
            return draw.one(self._studios)
        if attribute == "platforms":
            return ", ".join(draw.one(_PLATFORM_LISTS))
        if attribute == "genres" and draw.below(3) == 0:
            chosen = draw.some(CLOSED_VALUES["genres"], 2)
            return ", ".join(sorted(chosen, key=CLOSED_VALUES["genres"].index))
        return draw.one(CLOSED_VALUES[attribute])

    def _describe(self, described: dict[str, str], noun: str) -> str:
        """The noun phrase of a game: "single-player puzzle game from 2011 by Otter Works"."""
        draw, before, after = self._draw, [], []
        for attribute, value in described.items():
            if attribute == "genres":
                before.append(" ".join(text.GENRE_WORDS.get(genre, genre) for genre in value.split(", ")))
            elif attribute == "has_multiplayer":
                if draw.below(2):
                    before.insert(0, text.MULTIPLAYER_BEFORE[value])
                else:
                    after.append(text.MULTIPLAYER_AFTER[value])
            else:
                after.append(draw.one(text.AFTER[attribute]).format(value=self._worded(attribute, value)))
        return " ".join([*before, noun, *after])

    def _worded(self, attribute: str, value: str) -> str:
        if attribute == "esrb":
            return self._draw.one(text.ESRB_WORDS[value])
        if attribute == "player_perspective":
            return text.PERSPECTIVE_WORDS.get(value, value)
        if attribute == "platforms":
            *others, last = value.split(", ")
            return f"{', '.join(others)} and {last}" if others else last
        return value


def _titles() -> list[str]:
    """Titles of several shapes, each from words of its own, so that none is a part of another."""
    pairs = [f"{a} {b}" for a in text.TITLE_FIRST for b in text.TITLE_SECOND]
    shaped = []
    for index, title in enumerate(pairs):
        second = text.TITLE_SECOND[index % len(text.TITLE_SECOND)]
        place = text.TITLE_PLACES[index % len(text.TITLE_PLACES)]
        subtitle = text.TITLE_SUBTITLES[index % len(text.TITLE_SUBTITLES)]
        shaped.append((title, f"{title} {2 + index % 3}", f"{second} of {place}", f"{title}: {subtitle}", title)[index % 5])
    return list(dict.fromkeys(shaped))


def _partition(items: list[str], seed: int) -> dict[str, list[str]]:
    """Deal `items`, shuffled, to the splits."""
    shuffled = _Draw(f"{seed}/names").some(items, len(items))
    parts, start = {}, 0
    for split, share in _TITLE_SHARES.items():
        end = start + round(share * len(items))
        parts[split], start = shuffled[start:end], end
    return parts


def _with_article(phrase: str) -> str:
    return f"{'an' if phrase[0].lower() in 'aeiou' or phrase.startswith('MMO') else 'a'} {phrase}"


def _capital(phrase: str) -> str:
    return phrase[0].upper() + phrase[1:]

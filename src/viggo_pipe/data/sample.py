"""The synthetic sample: a corpus in ViGGO's schema, generated from authored phrases, for runs without a
network.

A sentence is put together from a frame of its dialogue act and a description of a game, to which each slot
adds one phrase; frames, phrases, games and their order combine freely, so that sentences hardly repeat.
Splits share neither a game nor a developer. It says nothing about ViGGO's own figures.
"""

from viggo_pipe.config.settings.dataset import SampleSettings
from viggo_pipe.core.rng import Rng
from viggo_pipe.data import sample_phrases as text
from viggo_pipe.meaning.ontology import CLOSED_VALUES
from viggo_pipe.meaning.syntax import Meaning, Slot, canonical

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
_RATED = ("give_opinion", "verify_attribute", "request_explanation")
# A genre is worded before "game": what precedes it in gold order, and would be worded after, describes other
# games. So sentence and meaning representation name their attributes in one order, which a thousand rows
# suffice to learn.
_BEFORE_GENRES = ("release_year", "developer", "esrb")
_AFTER_GENRES = ("player_perspective", "has_multiplayer", "platforms")
_QUESTIONS = tuple(
    (attribute, question) for attribute, asked in text.ATTRIBUTE_QUESTIONS.items() for question in asked
)
_PLATFORM_LISTS = (
    ("PC",), ("PlayStation",), ("Xbox",), ("Nintendo",), ("Nintendo Switch",), ("PlayStation", "PC"),
    ("PlayStation", "Xbox"), ("Xbox", "PC"), ("Nintendo Switch", "PC"), ("PlayStation", "Xbox", "PC"),
)  # fmt: skip


def generate_sample(settings: SampleSettings) -> dict[str, list[dict[str, str]]]:
    """Generate the splits train, validation and test: rows of {"id", "sentence", "meaning_representation"}.

    The same settings give the same rows on every platform, and a split's rows do not depend on the other
    splits' sizes.
    """
    sizes = {"train": settings.train, "validation": settings.validation, "test": settings.test}
    titles = _partition(_titles(), settings.seed)
    studios = _partition([f"{a} {b}" for a in text.STUDIO_FIRST for b in text.STUDIO_SECOND], settings.seed)
    return {
        split: _Writer(Rng(f"{settings.seed}/{split}"), titles[split], studios[split]).rows(split, size)
        for split, size in sizes.items()
    }


class _Writer:
    """Words random meanings about the games and studios of one split."""

    def __init__(self, rng: Rng, titles: list[str], studios: list[str]):
        self._rng, self._titles, self._studios = rng, titles, studios

    def rows(self, split: str, count: int) -> list[dict[str, str]]:
        rows, seen = [], set()
        while len(rows) < count:
            meaning, sentence = self._utterance()
            # Questions about an attribute have nothing to vary them: a few may come twice, no other sentence
            # may.
            if sentence in seen and meaning.act != "request_attribute":
                continue
            seen.add(sentence)
            rows.append(
                {
                    "id": f"sample-{split}-{len(rows) + 1}",
                    "sentence": sentence,
                    "meaning_representation": str(meaning),
                }
            )
        return rows

    def _utterance(self) -> tuple[Meaning, str]:
        rng = self._rng
        act = rng.deal("act", [act for act, weight in _ACT_WEIGHTS.items() for _ in range(weight)])
        if act == "request_attribute":
            attribute, question = rng.deal("question", _QUESTIONS)
            return Meaning(act, (Slot(attribute, ""),)), self._softly(question)
        slots, described = self._slots(act)
        rating = slots.get("rating", "")
        sentence = rng.deal(act, text.FRAMES[act]).format(
            **slots,
            feel=text.FEELINGS.get(rating),
            felt=text.PAST_FEELINGS.get(rating),
            game=self._describe(described, "game"),
            games=self._describe(described, "games"),
            a_game=_with_article(self._describe(described, "game")),
            the_game=f"the {self._describe(described, 'game')}",
        )
        meaning = canonical(Meaning(act, tuple(Slot(*item) for item in (slots | described).items())))
        return meaning, sentence + self._availability(slots) if act == "inform" else self._softly(sentence)

    def _slots(self, act: str) -> tuple[dict[str, str], dict[str, str]]:
        """The slots that the frame words, and those that describe a game."""
        rng, slots = self._rng, {}
        described = {attribute: self._value(attribute) for attribute in self._describing(act)}
        if act not in {"request", "request_explanation"}:
            slots["name"] = rng.deal("name", self._titles)
        if act in _RATED:
            slots["rating"] = rng.deal(f"{act} rating", CLOSED_VALUES["rating"])
        if act == "request":
            slots["specifier"] = rng.deal("specifier", text.SPECIFIERS)
        if act == "inform" and "genres" not in described and rng.below(3) == 0:
            described.pop("release_year", None)
            described["exp_release_date"] = f"{rng.choice(text.RELEASE_DATES)}, {2025 + rng.below(6)}"
        if act == "inform" and rng.below(2):
            for attribute in rng.sample(list(text.AVAILABILITY), 1 if rng.below(3) else 2):
                slots[attribute] = rng.deal(attribute, ("yes", "no"))
        if "MMORPG" in described.get("genres", ""):
            described.pop("has_multiplayer", None)  # it would be wrong without, and odd with
        return slots, described

    def _describing(self, act: str) -> list[str]:
        rng = self._rng
        if rng.below(2):
            return ["genres", *rng.sample(_AFTER_GENRES, rng.below(2))]
        # A rating precedes the genres too, and is worded before the game.
        return rng.sample(
            _AFTER_GENRES if act in _RATED else _BEFORE_GENRES + _AFTER_GENRES, 1 + rng.below(2)
        )

    def _availability(self, slots: dict[str, str]) -> str:
        clauses = [
            phrases[slots[attribute]]
            for attribute, phrases in text.AVAILABILITY.items()
            if attribute in slots
        ]
        return f" {_capital(' and '.join(clauses))}." if clauses else ""

    def _softly(self, sentence: str) -> str:
        opening = self._rng.choice(text.SOFTENERS)
        keeps_capital = not opening or sentence.startswith("I ")
        return opening + (sentence if keeps_capital else sentence[0].lower() + sentence[1:])

    def _value(self, attribute: str) -> str:
        rng = self._rng
        if attribute == "release_year":
            return str(1994 + rng.below(31))
        if attribute == "developer":
            return rng.deal(attribute, self._studios)
        if attribute == "platforms":
            return ", ".join(rng.deal(attribute, _PLATFORM_LISTS))
        if attribute == "genres" and rng.below(5) == 0:
            chosen = rng.sample(CLOSED_VALUES["genres"], 2)
            return ", ".join(sorted(chosen, key=CLOSED_VALUES["genres"].index))
        return rng.deal(attribute, CLOSED_VALUES[attribute])

    def _describe(self, described: dict[str, str], noun: str) -> str:
        """The noun phrase of a game: "puzzle game from 2011 by Otter Works without multiplayer"."""
        rng = self._rng
        genres = [
            text.GENRE_WORDS.get(genre, genre) for genre in described.get("genres", "").split(", ") if genre
        ]
        after = [
            rng.choice(phrases).format(value=self._worded(attribute, described[attribute]))
            for attribute, phrases in text.AFTER.items()
            if attribute in described
        ]
        return " ".join([" and ".join(genres), noun, *after]).strip()

    def _worded(self, attribute: str, value: str) -> str:
        if attribute == "esrb":
            return self._rng.choice(text.ESRB_WORDS[value])
        if attribute == "has_multiplayer":
            return text.MULTIPLAYER_WORDS[value]
        if attribute == "player_perspective":
            return text.PERSPECTIVE_WORDS.get(value, value)
        if attribute == "platforms":
            *others, last = value.split(", ")
            return f"{', '.join(others)} and {last}" if others else last
        return value


def _titles() -> list[str]:
    """Titles of several shapes: plain, with a numeral, with a subtitle."""
    pairs = [f"{a} {b}" for a in text.TITLE_FIRST for b in text.TITLE_SECOND]
    shaped = []
    for index, title in enumerate(pairs):
        subtitle = text.TITLE_SUBTITLES[index % len(text.TITLE_SUBTITLES)]
        shaped.append((title, f"{title} {2 + index % 3}", title, f"{title}: {subtitle}", title)[index % 5])
    return shaped


def _partition(items: list[str], seed: int) -> dict[str, list[str]]:
    """Deal `items`, shuffled, to the splits."""
    shuffled = Rng(f"{seed}/names").sample(items, len(items))
    parts, start = {}, 0
    for split, share in _TITLE_SHARES.items():
        end = start + round(share * len(items))
        parts[split], start = shuffled[start:end], end
    return parts


def _with_article(phrase: str) -> str:
    return f"{'an' if phrase[0].lower() in 'aeiou' or phrase.startswith('MMO') else 'a'} {phrase}"


def _capital(phrase: str) -> str:
    return phrase[0].upper() + phrase[1:]

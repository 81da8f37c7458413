"""The grammar of a sentence's possible answers, for constrained decoding."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from viggo_pipe.decoding.mentions import unmentioned
from viggo_pipe.meaning.ontology import (
    ATTRIBUTES,
    CLOSED_VALUES,
    DIALOGUE_ACTS,
    LIST_ATTRIBUTES,
    OPEN_ATTRIBUTES,
    attributes_of,
)

_ASKS_FOR_A_VALUE = "request_attribute"  # the one act with an empty value
# White space, and behind it a word, a single other sign, or a bracket. No value runs over a bracket, so it is
# in no group. "Bros.?" are three parts, since a name can end in a sign before another sign.
_PART = re.compile(r"(\s*)(?:(\w+|[^\w\s\[\]])|[\[\]])")
_CHUNK = re.compile(r"\s+|\w+|[^\w\s]")
# Those of str.splitlines. An answer is cut at the first one.
_LINE_ENDS = frozenset("\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029")
_MOST_REPEATED = 100  # times that a sentence may repeat a word, for a terminal a word
_CACHED = 1024  # sets of rules; sentences that mention the same things share them


def answer_grammar(sentence: str, known: Mapping[str, Sequence[str]]) -> str:
    """The grammar, in llguidance's Lark syntax, of the meaning representations that `sentence` can have.

    - Acts, their attributes and closed values are the ontology's. Slots and list values stand in its order,
      each at most once.
    - Stores, systems, platforms, genres and perspectives are those that the sentence mentions.
    - The value of an open attribute is a run of the sentence's characters from where a word or a sign begins
      to where one ends, or a known one.
    - The answer may begin with a space, as some tokenizers do.

    Args:
        known: values by open attribute.
    """
    absent = unmentioned(sentence)
    lists = {
        attribute: tuple(value for value in CLOSED_VALUES[attribute] if value not in absent)
        for attribute in LIST_ATTRIBUTES
    }
    words = _words(sentence)
    impossible = set(absent)
    impossible.update(attribute for attribute, values in lists.items() if not values)
    if not words:
        impossible.update(attribute for attribute in OPEN_ATTRIBUTES if not known.get(attribute))
    attributes = tuple(attribute for attribute in ATTRIBUTES if attribute not in impossible)
    rules = [_acts(attributes), *words]
    for attribute in attributes:
        if attribute in OPEN_ATTRIBUTES:
            value = _one_of(known.get(attribute, ()), *(["WORDS"] if words else []))
        elif attribute in LIST_ATTRIBUTES:
            value = f"list_{attribute}"
            rules.append(_ordered(value, tuple(map(_quoted, lists[attribute]))))
        else:
            value = _ONE_OF[attribute]
        rules.append(f'slot_{attribute}: "{attribute}[" {value} "]"')
    return "\n".join(rules)


@lru_cache(maxsize=_CACHED)
def _acts(attributes: tuple[str, ...]) -> str:
    """The rules from `start` down to the slots: which of `attributes` each act can have."""
    acts_with: dict[tuple[str, ...], list[str]] = {}  # by the attributes that they can have
    for act in DIALOGUE_ACTS:
        if act != _ASKS_FOR_A_VALUE:
            possible = tuple(attribute for attribute in attributes_of(act) if attribute in attributes)
            acts_with.setdefault(possible, []).append(act)
    rules = [
        f'start: " "? (asking | {" | ".join(f"telling_{number}" for number in range(len(acts_with)))})',
        f'asking: "{_ASKS_FOR_A_VALUE}(" {_one_of(attributes_of(_ASKS_FOR_A_VALUE))} "[])"',
    ]
    for number, (possible, acts) in enumerate(acts_with.items()):
        rules.append(f'telling_{number}: {_one_of(f"{act}(" for act in acts)} slots_{number} ")"')
        rules.append(_ordered(f"slots_{number}", tuple(f"slot_{attribute}" for attribute in possible)))
    return "\n".join(rules)


def _words(sentence: str) -> list[str]:
    """The rules of the terminal WORDS: a run of the sentence's words and signs as they stand.

    A run stays within a line and has no brackets. A sentence without words has no rules. There is a terminal
    a word, which can go on with the next one's. llguidance's `substring_chunks` fills masks more slowly: it
    needs a second expression against white space at its ends. But a repeated word is followed from all of its
    places at once, and hundreds are too many for llguidance.
    """
    parts = _PART.findall(sentence)
    repeated = Counter(word for _, word in parts if word)
    if max(repeated.values(), default=0) > _MOST_REPEATED:
        within = r"[^\[\]" + "".join(f"\\u{ord(end):04x}" for end in sorted(_LINE_ENDS)) + "]"
        end = r"[^\s\x1c-\x1f\[\]]"  # Rust's \s lacks \x1c to \x1f
        chunks = json.dumps({"substring_chunks": _CHUNK.findall(sentence)})
        return [f"WORDS: /{end}({within}*{end})?/ & %regex {chunks}"]
    starts, rules = [], []
    following = ""  # what a word can go on with
    for place in reversed(range(len(parts))):
        gap, word = parts[place]
        if not word:
            following = ""
            continue
        this = f"WORDS_{place}"
        starts.append(this)
        rules.append(f"{this}: {_quoted(word)}" + (f" ({following})?" if following else ""))
        following = ""
        if _LINE_ENDS.isdisjoint(gap):
            following = f"{_quoted(gap)} {this}" if gap else this
    if not rules:
        return []
    return [f"WORDS: {' | '.join(starts)}", *rules]


def _one_of(texts: Iterable[str], *symbols: str) -> str:
    return f"({' | '.join([*map(_quoted, texts), *symbols])})"


@lru_cache(maxsize=_CACHED)
def _ordered(name: str, items: tuple[str, ...]) -> str:
    """Rules for one or more of `items`, in their order, separated by ", ". `name` is the first rule.

    There is a rule for each item k, which adds any later ones.
    """
    rules = [f"{name}: " + " | ".join(f"{item} {name}_{index}" for index, item in enumerate(items, start=1))]
    rules += [
        f'{name}_{index}: (", " {item})? {name}_{index + 1}' for index, item in enumerate(items[1:], start=1)
    ]
    return "\n".join([*rules, f'{name}_{len(items)}: ""'])


_quoted = lru_cache(maxsize=2**14)(json.dumps)  # sentences share most of their words
_ONE_OF = {attribute: _one_of(values) for attribute, values in CLOSED_VALUES.items()}

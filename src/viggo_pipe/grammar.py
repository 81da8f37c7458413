"""The grammar of the answers that a sentence can have, for constrained decoding."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from viggo_pipe.mentions import unmentioned
from viggo_pipe.ontology import ATTRIBUTES, CLOSED_VALUES, DIALOGUE_ACTS, LIST_ATTRIBUTES, OPEN_ATTRIBUTES, attributes_of

_ASKS_FOR_A_VALUE = "request_attribute"  # the one act with an empty value
_PROPER_NAMES = ("name", "developer")
# White space, and behind it a word or a run of other signs; nothing where there is a bracket, over which no value runs.
_PART = re.compile(r"(\s*)(?:(\w+|[^\w\s\[\]]+)|[\[\]])")
_LINE_ENDS = frozenset("\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029")  # those of str.splitlines, which an answer is cut at
_MOST_ALIKE = 100  # times that a sentence has the same word
_KEPT = 1024  # rules that sentences which mention the same have in common


def answer_grammar(sentence: str, known: Mapping[str, Sequence[str]]) -> str:
    """A grammar, in llguidance's Lark syntax, of the meaning representations that `sentence` can have.

    Acts, their attributes and closed values are the ontology's, slots and list values stand in its order, each at most once. What
    is said of a store, a system, a platform, a genre or a perspective is said of one that a word resembles (`mentions`). The
    value of an open attribute is a run of words of the sentence, or one of the values `known` for that attribute; a known name
    that the sentence writes with other capitals is written as it is known. A tokenizer may have the answer begin with a space.
    """
    absent = unmentioned(sentence)
    lists = {attribute: tuple(one for one in CLOSED_VALUES[attribute] if one not in absent) for attribute in LIST_ATTRIBUTES}
    respelled = _respelled(sentence, [name for attribute in _PROPER_NAMES for name in known.get(attribute, ())])
    words = _words("WORDS", sentence)
    names = _words("NAMES", respelled) if respelled != sentence else []
    valueless = {one for one in OPEN_ATTRIBUTES if not words and not known.get(one)}
    attributes = tuple(one for one in ATTRIBUTES if one not in absent | valueless and lists.get(one, True))
    rules = [_acts(attributes), *words, *names]
    for attribute in attributes:
        if attribute in OPEN_ATTRIBUTES:
            run = "NAMES" if names and attribute in _PROPER_NAMES else "WORDS"
            value = _one_of(known.get(attribute, ()), *([run] if words else []))
        elif attribute in LIST_ATTRIBUTES:
            value = f"list_{attribute}"
            rules.append(_ordered(value, tuple(map(_quoted, lists[attribute]))))
        else:
            value = _ONE_OF[attribute]
        rules.append(f'slot_{attribute}: "{attribute}[" {value} "]"')
    return "\n".join(rules)


@lru_cache(maxsize=_KEPT)
def _acts(attributes: tuple[str, ...]) -> str:
    """The rules from the first one on, down to slots of these attributes, as far as each act can have them."""
    alike: dict[tuple[str, ...], list[str]] = {}  # acts, by the attributes that they have
    for act in DIALOGUE_ACTS:
        if act != _ASKS_FOR_A_VALUE:
            alike.setdefault(tuple(one for one in attributes_of(act) if one in attributes), []).append(act)
    rules = [
        f'start: " "? (asking | {" | ".join(f"telling_{number}" for number in range(len(alike)))})',
        f'asking: "{_ASKS_FOR_A_VALUE}(" {_one_of(attributes_of(_ASKS_FOR_A_VALUE))} "[])"',
    ]
    for number, (theirs, acts) in enumerate(alike.items()):
        rules.append(f'telling_{number}: {_one_of(f"{act}(" for act in acts)} slots_{number} ")"')
        rules.append(_ordered(f"slots_{number}", tuple(f"slot_{attribute}" for attribute in theirs)))
    return "\n".join(rules)


def _words(name: str, sentence: str) -> list[str]:
    """The rules of the terminal `name`: a run of the sentence's words as they stand, within a line and without brackets.

    There is a terminal for each word, that can go on with the next one's; without words, none. llguidance's `substring_words`,
    which needs a second expression against white space at its ends, takes longer to fill masks. A word that is repeated is
    followed from all of its places at once, though, and hundreds are too many for llguidance.
    """
    parts = _PART.findall(sentence)
    if max(Counter(word for _, word in parts if word).values(), default=0) > _MOST_ALIKE:
        within = r"[^\[\]" + "".join(f"\\u{ord(end):04x}" for end in sorted(_LINE_ENDS)) + "]"
        end = r"[^\s\x1c-\x1f\[\]]"  # in Rust's eyes, the four are no white space
        return [f"{name}: /{end}({within}*{end})?/ & %regex " + json.dumps({"substring_words": sentence})]
    starts, rules = [], []
    following = ""  # what a word can go on with: they are gone through from the last one back
    for place, (gap, word) in reversed([*enumerate(parts)]):
        this = f"{name}_{place}"
        if word:
            starts.append(this)
            rules.append(f"{this}: {_quoted(word)} ({following})?" if following else f"{this}: {_quoted(word)}")
        with_gap = f"{_quoted(gap)} {this}" if gap else this
        following = with_gap if word and _LINE_ENDS.isdisjoint(gap) else ""
    return [f"{name}: {' | '.join(starts)}", *rules] if rules else []


def _respelled(sentence: str, names: Iterable[str]) -> str:
    """The sentence with `names` spelled as they are there, where it has other capitals, or more spaces."""
    for name in names:
        pattern = r"\s+".join(map(re.escape, name.split()))
        sentence = re.sub(rf"(?<!\w){pattern}(?!\w)", lambda _, name=name: name, sentence, flags=re.IGNORECASE)
    return sentence


def _one_of(texts: Iterable[str], *symbols: str) -> str:
    return f"({' | '.join([*map(_quoted, texts), *symbols])})"


@lru_cache(maxsize=_KEPT)
def _ordered(name: str, items: tuple[str, ...]) -> str:
    """Rules for one or more of `items`, in their order, separated by ", "; `name` is the rule to start from.

    As many rules as items: the rule after item k adds any of the later ones.
    """
    rules = [f"{name}: " + " | ".join(f"{item} {name}_{index}" for index, item in enumerate(items, start=1))]
    rules += [f'{name}_{index}: (", " {item})? {name}_{index + 1}' for index, item in enumerate(items[1:], start=1)]
    return "\n".join([*rules, f'{name}_{len(items)}: ""'])


_quoted = lru_cache(maxsize=2**14)(json.dumps)  # a sentence has dozens of words, and most are in others too
_ONE_OF = {attribute: _one_of(values) for attribute, values in CLOSED_VALUES.items()}

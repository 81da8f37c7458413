"""A second scorer, written without the first: naive, by regular expressions and exact fractions, no code of
src.

    python tests/independent_scorer.py predictions/tuned.jsonl

prints every metric but the intervals, for comparison with metrics/tuned.json.
"""

import json
import re
import sys
from fractions import Fraction

ACTS = {
    *("inform", "confirm", "give_opinion", "recommend", "suggest"),
    *("request", "request_attribute", "request_explanation", "verify_attribute"),
}
OPEN = {"name", "exp_release_date", "release_year", "developer", "specifier"}
LISTS = {"genres", "player_perspective", "platforms"}
YES_NO = {"yes", "no"}
CLOSED = {
    "has_multiplayer": YES_NO,
    "available_on_steam": YES_NO,
    "has_linux_release": YES_NO,
    "has_mac_release": YES_NO,
    "esrb": {"E (for Everyone)", "E 10+ (for Everyone 10 and Older)", "T (for Teen)", "M (for Mature)"},
    "rating": {"excellent", "good", "average", "poor"},
    "player_perspective": {"bird view", "first person", "side view", "third person"},
    "platforms": {"PlayStation", "Xbox", "Nintendo", "Nintendo Switch", "PC"},
    "genres": {
        *(
            "action",
            "action-adventure",
            "adventure",
            "arcade",
            "driving/racing",
            "fighting",
            "hack-and-slash",
            "indie",
        ),
        *(
            "MMORPG",
            "music",
            "pinball",
            "platformer",
            "point-and-click",
            "puzzle",
            "real-time strategy",
            "role-playing",
        ),
        *("shooter", "simulation", "sport", "strategy", "tactical", "text adventure", "trivia/board game"),
        *("turn-based strategy", "vehicular combat"),
    },
}
SLOT = r"[a-z][a-z_]*\[[^\[\]\r\n]*\]"
WHOLE = re.compile(rf"([a-z][a-z_]*)\(({SLOT}(?:, {SLOT})*)\)")


def read(text):
    """(act, [(attribute, value as written)]), or None."""
    match = WHOLE.fullmatch(text.strip())
    return match and (match[1], re.findall(r"([a-z][a-z_]*)\[([^\[\]\r\n]*)\]", match[2]))


def entries(slots):
    return [(name, one) for name, value in slots for one in (value.split(", ") if name in LISTS else [value])]


def regardless_of_order(meaning):
    act, slots = meaning
    return act, sorted(
        (name, sorted(value.split(", ")) if name in LISTS else [value]) for name, value in slots
    )


def known(act, name, value):
    return name in OPEN or (
        name in CLOSED and (value in CLOSED[name] or (value == "" and act == "request_attribute"))
    )


def fold(text):
    return re.sub(r"\s+", " ", text.casefold())


def score(rows):
    """Every metric but the intervals, rounded to 4 decimals."""
    hits = dict.fromkeys(["exact_match", "exact_match_unordered", "dialogue_act_accuracy"], 0)
    hits |= dict.fromkeys(["attribute_set_accuracy", "well_formed", "in_ontology"], 0)
    n = right = said = wanted = open_values = invented = 0
    for row in rows:
        n += 1
        gold, guess = read(row["reference"]), read(row["prediction"])
        left = entries(gold[1])
        wanted += len(left)
        hits["exact_match"] += row["reference"].strip() == row["prediction"].strip()
        if not guess:
            continue
        act, found = guess[0], entries(guess[1])
        hits["well_formed"] += 1
        hits["exact_match_unordered"] += regardless_of_order(guess) == regardless_of_order(gold)
        hits["dialogue_act_accuracy"] += act == gold[0]
        hits["attribute_set_accuracy"] += {name for name, _ in found} == {name for name, _ in left}
        hits["in_ontology"] += act in ACTS and all(known(act, *entry) for entry in found)
        said += len(found)
        for entry in found:
            if entry in left:
                left.remove(entry)
                right += 1
            if entry[0] in OPEN and entry[1] != "":
                open_values += 1
                invented += fold(entry[1]).strip() not in fold(row["sentence"]).strip()
    precision, recall = Fraction(right, said or 1), Fraction(right, wanted or 1)
    f1 = 2 * precision * recall / (precision + recall) if right else 0
    shares = {name: Fraction(count, n) for name, count in hits.items()}
    shares |= {"slot_precision": precision, "slot_recall": recall, "slot_f1": f1}
    shares["hallucinated_values"] = Fraction(invented, open_values or 1)
    return {"examples": n} | {name: round(float(share), 4) for name, share in shares.items()}


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(json.dumps(score(map(json.loads, file)), indent=2, sort_keys=True))

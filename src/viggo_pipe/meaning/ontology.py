"""ViGGO's ontology: dialogue acts, attributes in their gold order, and the closed value sets.

Juraska, Bowden, Walker: "ViGGO: A Video Game Corpus for Data-To-Text Generation in Open-Domain Conversation",
INLG 2019 (W19-8623). Orders and value sets are those of the 6,900 published rows. `ACTS_WITH` is that of the
training rows. Tests compare them with the data.
"""

from functools import cache

DIALOGUE_ACTS = (
    "inform",
    "confirm",
    "give_opinion",
    "recommend",
    "request",
    "request_attribute",
    "request_explanation",
    "suggest",
    "verify_attribute",
)

# In the order in which a gold meaning representation lists its slots.
ATTRIBUTES = (
    "name",
    "exp_release_date",
    "release_year",
    "developer",
    "esrb",
    "rating",
    "genres",
    "player_perspective",
    "has_multiplayer",
    "platforms",
    "available_on_steam",
    "has_linux_release",
    "has_mac_release",
    "specifier",
)

# The acts of attributes that only some acts have. An attribute that is merely rare with an act is not here.
ACTS_WITH: dict[str, tuple[str, ...]] = {
    "name": ("inform", "confirm", "give_opinion", "recommend", "suggest", "verify_attribute"),
    "rating": ("inform", "give_opinion", "request_explanation", "verify_attribute"),
    "specifier": ("request",),
}

YES_NO = ("yes", "no")

# Attributes whose values come from a fixed set, in the order in which a gold list names them.
CLOSED_VALUES: dict[str, tuple[str, ...]] = {
    "esrb": ("E (for Everyone)", "E 10+ (for Everyone 10 and Older)", "T (for Teen)", "M (for Mature)"),
    "rating": ("excellent", "good", "average", "poor"),
    "genres": (
        "action",
        "action-adventure",
        "adventure",
        "arcade",
        "driving/racing",
        "fighting",
        "hack-and-slash",
        "indie",
        "MMORPG",
        "music",
        "pinball",
        "platformer",
        "point-and-click",
        "puzzle",
        "real-time strategy",
        "role-playing",
        "shooter",
        "simulation",
        "sport",
        "strategy",
        "tactical",
        "text adventure",
        "trivia/board game",
        "turn-based strategy",
        "vehicular combat",
    ),
    "player_perspective": ("bird view", "first person", "side view", "third person"),
    "has_multiplayer": YES_NO,
    "platforms": ("PlayStation", "Xbox", "Nintendo", "Nintendo Switch", "PC"),
    "available_on_steam": YES_NO,
    "has_linux_release": YES_NO,
    "has_mac_release": YES_NO,
}

# Attributes that hold a list of values, separated by ", ".
LIST_ATTRIBUTES = ("genres", "player_perspective", "platforms")

# Attributes whose value is free text, taken from the sentence.
OPEN_ATTRIBUTES = tuple(attribute for attribute in ATTRIBUTES if attribute not in CLOSED_VALUES)


@cache
def attributes_of(act: str) -> tuple[str, ...]:
    """The attributes that `act` can have, in their order."""
    return tuple(attribute for attribute in ATTRIBUTES if act in ACTS_WITH.get(attribute, DIALOGUE_ACTS))

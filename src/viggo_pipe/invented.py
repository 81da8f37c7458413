"""Invented games, studios and adjectives, which training swaps in and probes ask for; the two share no word."""

from dataclasses import dataclass

from viggo_pipe.draw import Draw


@dataclass(frozen=True)
class Vocabulary:
    """What names are put together from."""

    attributes: tuple[str, ...]
    nouns: tuple[str, ...]
    places: tuple[str, ...]
    syllables: tuple[str, ...]
    studios: tuple[str, ...]
    companies: tuple[str, ...]


TRAINING = Vocabulary(
    attributes=(
        "Ancient", "Arctic", "Blazing", "Blind", "Burning", "Celestial", "Dark", "Dead", "Deep", "Divine", "Emerald", "Eternal",
        "Fallen", "Fatal", "Final", "Forgotten", "Ghost", "Golden", "Grand", "Haunted", "Hidden", "Infinite", "Last", "Little",
        "Lonely", "Lost", "Mad", "Mystic", "Phantom", "Rogue", "Royal", "Sacred", "Silent", "Steel", "Super", "Twisted", "Ultra",
        "Virtual", "Wild", "Zero",
    ),
    nouns=(
        "Arena", "Armada", "Assassins", "Bandits", "Battalion", "Blade", "Castle", "Chronicles", "Citadel", "Colony", "Commander",
        "Crown", "Crusade", "Depths", "Dominion", "Dragon", "Dynasty", "Echoes", "Empire", "Fortress", "Frontier", "Galaxy",
        "Gladiator", "Hunters", "Invaders", "Island", "Kingdom", "Knights", "Labyrinth", "Legend", "League", "Mayhem", "Nomads",
        "Odyssey", "Oracle", "Planet", "Prophecy", "Quest", "Racers", "Rally", "Ranger", "Rebellion", "Robots", "Samurai",
        "Shadows", "Shift", "Soldiers", "Souls", "Storm", "Tactics", "Titan", "Trials", "Vanguard", "Warriors", "Wolves", "Zone",
    ),
    places=("Babylon", "the Abyss", "the Desert", "the East", "the Moon", "the North", "the Stars", "Thunder", "Time", "Tokyo"),
    syllables=("ar", "bel", "cor", "dra", "el", "fen", "gor", "hal", "ix", "ka", "lor", "mir", "nox", "or", "pha", "ra", "tal"),
    studios=(
        "Apex", "Black Cat", "Blue Moon", "Bright", "Cobalt", "Core", "Crystal", "Delta", "Dragonfire", "Epsilon",
        "Eleventh Hour", "Firebird", "Giant",
        "Green Door", "High Tower", "Imagine", "Jupiter", "Legacy", "Magnet", "Monolith Bay", "Nova",
        "Omega", "Pixel", "Polar", "Red Planet", "Rocket", "Sigma", "Snowfall", "Starlight", "Tri-Star", "Vertex", "Wildcard",
    ),
    companies=("Creations", "Development", "Digital", "Games", "Inc.", "Labs", "Media", "Productions", "Software", "Studio"),
)  # fmt: skip
PROBES = Vocabulary(
    attributes=(
        "Amber", "Broken", "Copper", "Crimson", "Distant", "Electric", "Feral", "Frozen", "Gilded", "Hollow", "Iron", "Jade",
        "Lucky", "Midnight", "Neon", "Obsidian", "Paper", "Quiet", "Restless", "Rusty", "Savage", "Shattered", "Solar", "Tiny",
    ),
    nouns=(
        "Anvil", "Archer", "Beacon", "Canyon", "Captain", "Circuit", "Comet", "Compass", "Dragonfly", "Ember", "Falcon", "Garden",
        "Harbor", "Lantern", "Machine", "Meadow", "Orchard", "Outpost", "Parade", "Pirate", "Railway", "Reef", "Sparrow", "Thief",
    ),
    places=("Avalon", "Glass", "the Glacier", "the Hills", "the Prairie", "the South", "Venice", "Winter"),
    syllables=("bra", "cly", "dun", "est", "fro", "gli", "hes", "jun", "kel", "lum", "mo", "nys", "ost", "pru", "quel", "vy"),
    studios=(
        "Badger", "Birchwood", "Bluefin", "Cinder", "Clockwork", "Daybreak", "Driftwood", "Foxglove", "Granite", "Hazelnut",
        "Juniper", "Kestrel", "Lighthouse", "Marigold", "Nightjar", "Northwind", "Otter", "Pebble", "Quicksilver", "Redwood",
    ),
    companies=("Arts", "Entertainment", "Forge", "Interactive", "Studios", "Works"),
)  # fmt: skip

ADJECTIVES = (
    "adorable", "awful", "brilliant", "brutal", "bright", "buggy", "calm", "challenging", "chaotic", "clumsy", "colorful",
    "competitive", "complex", "cozy", "creepy", "crazy", "cute", "dark", "deep", "difficult", "disappointing", "dull", "engaging",
    "entertaining", "epic", "exhausting", "famous", "fancy", "fast", "fresh", "fun", "generic", "gorgeous", "gory", "hard",
    "hilarious", "immersive", "impressive", "inspiring", "interesting", "lazy", "lengthy", "lovely", "mediocre", "nostalgic",
    "obscure", "odd", "old", "outstanding", "popular", "pretty", "quick", "quirky", "rare", "recent", "sad", "satisfying",
    "serious", "silly", "slow", "solid", "special", "strange", "stressful", "sweet", "tedious", "tense", "terrible", "tough",
    "unique", "unusual", "violent", "weird", "well made", "wonderful",
    # Of several words, as some of the references' are.
    "action packed", "badly written", "beautifully drawn", "critically acclaimed", "family friendly", "hard to master",
    "high quality", "highly rated", "long running", "low budget", "old school", "poorly received", "really long",
    "visually stunning", "well known", "wildly popular",
)  # fmt: skip
_NUMERALS = ("2", "3", "4", "5", "II", "III", "IV", "64", "XIII")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "September", "October", "December")


def title(draw: Draw, words: Vocabulary) -> str:
    """A game's name: "Lost Castle", "Dragon III", "The Oracle of Time", "Tactics: Zero Storm", "Miroralix"..."""
    attribute, noun, other = draw.one(words.attributes), *draw.some(words.nouns, 2)
    made_up = "".join(draw.some(words.syllables, 2 + draw.below(2))).capitalize()
    return draw.one(
        (
            noun,
            made_up,
            f"{attribute} {noun}",
            f"{attribute} {noun}",
            f"{noun} {draw.one(_NUMERALS)}",
            f"{attribute} {noun} {draw.one(_NUMERALS)}",
            f"The {noun} of {draw.one(words.places)}",
            f"{made_up}: {attribute} {noun}",
            f"{noun}: {other} of {draw.one(words.places)}",
            f"{attribute} {noun}: {made_up}",
            f"{made_up}'s {noun}",
            f"{noun} & {other}",
        )
    )


def studio(draw: Draw, words: Vocabulary) -> str:
    """A developer's name: "Red Planet Games", "Tri-Star", "Miror Software"..."""
    made_up = "".join(draw.some(words.syllables, 2)).capitalize()
    first, company = draw.one((*words.studios, made_up)), draw.one(words.companies)
    return draw.one((f"{first} {company}", f"{first} {company}", first))


def year(draw: Draw) -> str:
    """A year between 1980 and 2024."""
    return str(1980 + draw.below(45))


def date(draw: Draw) -> str:
    """A day in the coming years, as ViGGO writes it: "March 4, 2026"."""
    return f"{draw.one(_MONTHS)} {1 + draw.below(28)}, {2018 + draw.below(12)}"

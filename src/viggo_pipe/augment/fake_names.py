"""Invented games, studios and adjectives, for training and for the robustness sets. These share no word."""

from dataclasses import dataclass

from viggo_pipe.core.rng import Rng


@dataclass(frozen=True)
class Vocabulary:
    """The parts of names. With `rare_shapes`, some are like "7 Wolves", "Kal'ix" or "nVerse"."""

    attributes: tuple[str, ...]
    nouns: tuple[str, ...]
    places: tuple[str, ...]
    syllables: tuple[str, ...]
    studios: tuple[str, ...]
    companies: tuple[str, ...]
    rare_shapes: bool


TRAINING = Vocabulary(
    attributes=(
        "Abandoned", "Ancient", "Arctic", "Astral", "Atomic", "Azure", "Bitter", "Blazing", "Blind", "Bloody",
        "Brave", "Burning", "Celestial", "Cosmic", "Crooked", "Cursed", "Daring", "Dark", "Dead", "Deep",
        "Desperate", "Divine", "Emerald", "Endless", "Eternal", "Fallen", "Fatal", "Fearless", "Fierce",
        "Final", "First", "Flying", "Forgotten", "Gentle", "Ghost", "Golden", "Grand", "Grim", "Haunted",
        "Hidden", "Holy", "Humble", "Immortal", "Infinite", "Invisible", "Last", "Legendary", "Little",
        "Lonely", "Lost", "Mad", "Magic", "Mighty", "Mystic", "Nameless", "Noble", "Perfect", "Phantom",
        "Primal", "Proud", "Radiant", "Raging", "Rogue", "Royal", "Sacred", "Scarlet", "Secret", "Silent",
        "Sleeping", "Steel", "Super", "Swift", "Twisted", "Ultra", "Velvet", "Virtual", "Wandering", "Wicked",
        "Wild", "Zero",
    ),
    nouns=(
        "Alchemist", "Ambush", "Angels", "Apocalypse", "Arena", "Armada", "Arrow", "Ascension", "Assassins",
        "Asylum", "Avalanche", "Bandits", "Bastion", "Battalion", "Blade", "Bridge", "Cannon", "Caravan",
        "Carnival", "Castle", "Cathedral", "Cavern", "Champion", "Chronicles", "Circus", "Citadel", "Clans",
        "Colony", "Commander", "Conquest", "Corsair", "Covenant", "Crossing", "Crown", "Crusade", "Curse",
        "Depths", "Descent", "Dominion", "Dragon", "Drifters", "Druid", "Duel", "Dynasty", "Echoes", "Empire",
        "Exiles", "Express", "Fables", "Forest", "Fortress", "Frontier", "Fury", "Galaxy", "Garrison", "Gate",
        "Gladiator", "Guardians", "Harvest", "Heist", "Horizon", "Hunters", "Inferno", "Invaders", "Island",
        "Journey", "Justice", "Kingdom", "Knights", "Labyrinth", "Lagoon", "League", "Legend", "Legion",
        "Mansion", "Marauders", "Mayhem", "Mercenary", "Mirage", "Monsters", "Mountain", "Mutiny", "Nomads",
        "Odyssey", "Oracle", "Outlaws", "Patrol", "Pilgrim", "Planet", "Prophecy", "Pursuit", "Quest",
        "Racers", "Raiders", "Rally", "Ranger", "Rebellion", "Reckoning", "Robots", "Samurai", "Sanctuary",
        "Shadows", "Shift", "Siege", "Soldiers", "Souls", "Spirits", "Storm", "Stronghold", "Summit",
        "Tactics", "Temple", "Throne", "Titan", "Tower", "Trials", "Vanguard", "Village", "Voyage",
        "Warriors", "Witches", "Wolves", "Zone",
    ),
    places=(
        "the Abyss", "the Ancients", "Arcadia", "Babylon", "Berlin", "Camelot", "the Caves", "the Desert",
        "the East", "the Jungle", "the Moon", "the North", "Silver", "the Stars", "the Swamp", "Thunder",
        "Time", "Tokyo", "Tomorrow", "the Valley", "the West",
    ),
    syllables=(
        "an", "ar", "ash", "bel", "bor", "cal", "cor", "cys", "den", "dor", "dra", "el", "eon", "far", "fen",
        "gor", "gra", "hal", "hy", "il", "ix", "jax", "ka", "kor", "lan", "lor", "lys", "mar", "mir", "nar",
        "nev", "nox", "oph", "or", "pel", "pha", "ra", "rin", "sha", "syl", "tal", "ter", "tor", "ul", "vak",
        "vel", "wyn", "xan", "yor", "zan", "zeph",
    ),
    studios=(
        "Angry Bear", "Apex", "Arrowhead", "Atlas", "Big Fish Tank", "Black Cat", "Blue Moon", "Brainstorm",
        "Bright", "Cloud Nine", "Cobalt", "Cold Coffee", "Core", "Crystal", "Cyclone", "Delta", "Double Dice",
        "Dragonfire", "Eagle Rock", "Eleventh Hour", "Epsilon", "Firebird", "Flint", "Giant", "Gravity",
        "Green Door", "Happy Accident", "High Tower", "Hydra", "Imagine", "Inkwell", "Jupiter", "Legacy",
        "Lemon", "Loose Cannon", "Magnet", "Mammoth", "Mercury", "Monolith Bay", "Nova", "Old Oak", "Omega",
        "Orbit", "Paradox Bay", "Pixel", "Polar", "Raven", "Red Planet", "Rocket", "Second Breakfast",
        "Seven Seas", "Sigma", "Silverback", "Snowfall", "Starlight", "Tangerine", "Tinderbox", "Tri-Star",
        "Turbine", "Umbrella", "Vertex", "Warp", "White Rabbit", "Wildcard", "Yellow Brick", "Zenith",
    ),
    companies=(
        "Co.", "Collective", "Company", "Corporation", "Creations", "Designers", "Development", "Digital",
        "Factory", "Game Company", "Games", "Group", "House", "Inc.", "Labs", "Ltd.", "Media", "Online",
        "Productions", "Software", "Studio", "Systems", "Team", "Technologies", "Workshop",
    ),
    rare_shapes=True,
)  # fmt: skip
ROBUSTNESS = Vocabulary(
    attributes=(
        "Amber", "Broken", "Copper", "Crimson", "Distant", "Electric", "Feral", "Frozen", "Gilded", "Hollow",
        "Iron", "Jade", "Lucky", "Midnight", "Neon", "Obsidian", "Paper", "Quiet", "Restless", "Rusty",
        "Savage", "Shattered", "Solar", "Tiny",
    ),
    nouns=(
        "Anvil", "Archer", "Beacon", "Canyon", "Captain", "Circuit", "Comet", "Compass", "Dragonfly", "Ember",
        "Falcon", "Garden", "Harbor", "Lantern", "Machine", "Meadow", "Orchard", "Outpost", "Parade",
        "Pirate", "Railway", "Reef", "Sparrow", "Thief",
    ),
    places=("Avalon", "Glass", "the Glacier", "the Hills", "the Prairie", "the South", "Venice", "Winter"),
    syllables=(
        "bra", "cly", "dun", "est", "fro", "gli", "hes", "jun", "kel", "lum", "mo", "nys", "ost", "pru",
        "quel", "vy",
    ),
    studios=(
        "Badger", "Birchwood", "Bluefin", "Cinder", "Clockwork", "Daybreak", "Driftwood", "Foxglove",
        "Granite", "Hazelnut", "Juniper", "Kestrel", "Lighthouse", "Marigold", "Nightjar", "Northwind",
        "Otter", "Pebble", "Quicksilver", "Redwood",
    ),
    companies=("Arts", "Entertainment", "Forge", "Interactive", "Studios", "Works"),
    rare_shapes=False,
)  # fmt: skip

ADJECTIVES = (
    "adorable", "awful", "brilliant", "brutal", "bright", "buggy", "calm", "challenging", "chaotic", "clumsy",
    "colorful", "competitive", "complex", "cozy", "creepy", "crazy", "cute", "dark", "deep", "difficult",
    "disappointing", "dull", "engaging", "entertaining", "epic", "exhausting", "famous", "fancy", "fast",
    "fresh", "fun", "generic", "gorgeous", "gory", "hard", "hilarious", "immersive", "impressive",
    "inspiring", "interesting", "lazy", "lengthy", "lovely", "mediocre", "nostalgic", "obscure", "odd", "old",
    "outstanding", "popular", "pretty", "quick", "quirky", "rare", "recent", "sad", "satisfying", "serious",
    "silly", "slow", "solid", "special", "strange", "stressful", "sweet", "tedious", "tense", "terrible",
    "tough", "unique", "unusual", "violent", "weird", "well made", "wonderful",
    # Of several words, as some in the references. In some, the first word is an adjective itself.
    "action packed", "award winning", "badly written", "bare bones", "beautifully drawn", "button-mashing",
    "critically acclaimed", "crystal clear", "cutting edge", "dead easy", "dirt cheap", "down to earth",
    "family friendly", "full blown", "half finished", "hand-drawn", "hard to master", "heart breaking",
    "high quality", "highly rated", "jaw dropping", "laid back", "light-hearted", "long running",
    "low budget", "mind blowing", "nerve-racking", "old fashioned", "old school", "one of a kind",
    "open ended", "over the top", "poorly received", "razor sharp", "really long",
    "rock solid",
    "run of the mill", "second rate", "slow-burning", "spot on", "state of the art", "story-driven",
    "thought provoking", "time consuming", "top notch", "visually stunning", "well known", "well-written",
    "wide open", "wildly popular",
    "world class",
)  # fmt: skip
_LETTERS = "ABDGHKMNRSTVXZ"
_NUMERALS = ("2", "3", "4", "5", "II", "III", "IV", "64", "XIII")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "September", "October", "December")


def title(rng: Rng, words: Vocabulary) -> str:
    """A game's name: "Lost Castle", "Dragon III", "The Oracle of Time", "Tactics: Zero Storm"..."""
    attribute, noun, other = rng.choice(words.attributes), *rng.sample(words.nouns, 2)
    made_up = _made_up(rng, words, 2 + rng.below(2))
    shapes = (
        noun,
        made_up,
        f"{attribute} {noun}",
        f"{attribute} {noun}",
        f"{noun} {rng.choice(_NUMERALS)}",
        f"{attribute} {noun} {rng.choice(_NUMERALS)}",
        f"The {noun} of {rng.choice(words.places)}",
        f"{made_up}: {attribute} {noun}",
        f"{noun}: {other} of {rng.choice(words.places)}",
        f"{attribute} {noun}: {made_up}",
        f"{made_up}'s {noun}",
        f"{noun} & {other}",
    )
    if words.rare_shapes:
        shapes += _rare_titles(rng, words, noun, made_up)
    return rng.choice(shapes)


def studio(rng: Rng, words: Vocabulary) -> str:
    """A developer's name: "Red Planet Games", "Tri-Star", "Miror Software"..."""
    made_up = _made_up(rng, words, 2)
    first, company = rng.choice((*words.studios, made_up)), rng.choice(words.companies)
    shapes = (f"{first} {company}", f"{first} {company}", first)
    if words.rare_shapes:
        shapes += _rare_studios(rng, words, first, made_up, company)
    return rng.choice(shapes)


def _made_up(rng: Rng, words: Vocabulary, syllables: int) -> str:
    return "".join(rng.sample(words.syllables, syllables)).capitalize()


def _rare_titles(rng: Rng, words: Vocabulary, noun: str, made_up: str) -> tuple[str, ...]:
    first, second = rng.sample(words.syllables, 2)
    number, letter = str(2 + rng.below(98)), rng.choice(_LETTERS)
    return (
        f"{made_up} {_made_up(rng, words, 2)}",
        f"{made_up} {noun}",
        f"{number} {noun}",
        f"{noun} {number}",
        f"{noun} 2K{number}",
        f"{first.capitalize()}'{second}",
        f"{noun}'s {rng.choice(words.attributes)} {rng.choice(words.nouns)}",
        f"{letter}-{noun}",
        f"{made_up}-{number}",
        f"{made_up.upper()}: {noun}",
    )


def _rare_studios(rng: Rng, words: Vocabulary, first: str, made_up: str, company: str) -> tuple[str, ...]:
    noun, number, letter = rng.choice(words.nouns), str(2 + rng.below(98)), rng.choice(_LETTERS)
    return (
        f"{first} {company}",
        f"{made_up} {company}",
        f"{made_up} {noun} {company}",
        f"{made_up} {_made_up(rng, words, 2)}",
        f"{letter.lower()}{made_up}",
        f"{rng.choice(words.syllables)}{noun} {company}",
        f"{noun}{rng.choice(words.nouns)}",
        f"{number}{letter} {company}",
        f"{number} {noun}",
        f"{made_up}'s {company}",
        f"Team {made_up}",
        f"{first} & {made_up}",
    )


def year(rng: Rng) -> str:
    """A year between 1980 and 2024."""
    return str(1980 + rng.below(45))


def date(rng: Rng) -> str:
    """A day in the coming years, as ViGGO writes it: "March 4, 2026"."""
    return f"{rng.choice(_MONTHS)} {1 + rng.below(28)}, {2018 + rng.below(12)}"

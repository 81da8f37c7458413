"""The authored text of the synthetic sample: invented names, and the phrases that each meaning is worded
with.

No sentence and no game is ViGGO's. `{...}` marks what `sample` fills in. Every wording stands for one value
only, so that a sentence determines its meaning representation.
"""

# Titles are "First Second", with a numeral or a subtitle now and then.
TITLE_FIRST = (
    "Amber", "Broken", "Copper", "Crimson", "Distant", "Electric", "Feral", "Frozen", "Gilded", "Hollow",
    "Iron", "Jade", "Lucky", "Midnight", "Neon", "Obsidian", "Paper", "Quiet", "Restless", "Rusty", "Savage",
    "Shattered", "Silver", "Solar", "Tiny", "Velvet", "Wandering", "Wicked", "Winter's", "Yonder",
)  # fmt: skip
TITLE_SECOND = (
    "Anvil", "Archer", "Beacon", "Canyon", "Captain", "Circuit", "Comet", "Compass", "Dragonfly", "Ember",
    "Falcon", "Garden", "Harbor", "Lantern", "Machine", "Meadow", "Orchard", "Outpost", "Parade", "Pirate",
    "Railway", "Reef", "Sparrow", "Thief", "Tower", "Turtle", "Voyage", "Warden", "Whisper", "Zeppelin",
)  # fmt: skip
TITLE_SUBTITLES = ("Reborn", "Last Light", "Origins", "Uprising", "Second Dawn", "No Return", "Homecoming")

STUDIO_FIRST = (
    "Badger", "Birchwood", "Bluefin", "Cinder", "Clockwork", "Daybreak", "Driftwood", "Foxglove", "Granite",
    "Hazelnut", "Juniper", "Kestrel", "Lighthouse", "Marigold", "Nightjar", "Northwind", "Otter", "Pebble",
    "Quicksilver", "Redwood", "Seahorse", "Tangerine", "Thistle", "Umbra", "Walnut", "Yellowtail",
)  # fmt: skip
STUDIO_SECOND = ("Games", "Studios", "Interactive", "Entertainment", "Software", "Works")

SPECIFIERS = (
    "addictive", "ambitious", "atmospheric", "beautiful", "boring", "charming", "cheerful", "clever",
    "confusing", "creative", "demanding", "dramatic", "easy", "emotional", "exciting", "expensive",
    "fast-paced", "forgettable", "frustrating", "funny", "gloomy", "innovative", "intense", "memorable",
    "mysterious", "original", "overrated", "peaceful", "polished", "punishing", "realistic", "relaxing",
    "repetitive", "rewarding", "scary", "short", "stylish", "surprising", "thrilling", "underrated",
)  # fmt: skip

RELEASE_DATES = (
    "March 4",
    "April 17",
    "May 29",
    "June 8",
    "August 21",
    "September 12",
    "October 30",
    "November 6",
)

# What stands before "game" or "games"; any other genre is worded as itself.
GENRE_WORDS = {"trivia/board game": "trivia/board"}

# What stands behind it, in the gold order of the attributes: a model can then go through sentence and meaning
# side by side.
AFTER = {
    "exp_release_date": ("coming out on {value}", "due on {value}"),
    "release_year": ("from {value}", "released in {value}"),
    "developer": ("by {value}", "developed by {value}"),
    "esrb": ("rated {value}",),
    "player_perspective": ("played in {value}", "with a {value} camera"),
    "has_multiplayer": ("{value} multiplayer",),
    "platforms": ("for {value}", "on {value}"),
}
MULTIPLAYER_WORDS = {"yes": "with", "no": "without"}
ESRB_WORDS = {
    "E (for Everyone)": ("E", "E for Everyone"),
    "E 10+ (for Everyone 10 and Older)": ("E 10+",),
    "T (for Teen)": ("T", "T for Teen"),
    "M (for Mature)": ("M", "M for Mature"),
}
PERSPECTIVE_WORDS = {"bird view": "bird's eye view"}  # any other is worded as itself

# Second sentences of `inform`.
AVAILABILITY = {
    "available_on_steam": {"yes": "it is available on Steam", "no": "it is not available on Steam"},
    "has_linux_release": {"yes": "it is available for Linux", "no": "it is not available for Linux"},
    "has_mac_release": {"yes": "it is available for Mac", "no": "it is not available for Mac"},
}

# How a rating is worded: as a feeling, and as one that somebody had.
FEELINGS = {
    "excellent": "absolutely love",
    "good": "quite like",
    "average": "feel neutral about",
    "poor": "really hate",
}
PAST_FEELINGS = {"excellent": "loved", "good": "liked", "average": "felt neutral about", "poor": "hated"}

# `{a_game}`: the described game with its article, `{the_game}` with "the", `{games}` in the plural, `{name}`
# its title, and the words of its rating: `{feel}`, `{felt}`.
FRAMES = {
    "inform": (
        "{name} is {a_game}.",
        "The game {name} is {a_game}.",
        "Well, {name} is {a_game}.",
    ),
    "give_opinion": (
        "I {feel} {name}, {the_game}.",
        "I have to say that I {feel} {name}, {the_game}.",
        "As for {name}, I {feel} it. It is {a_game}.",
    ),
    "verify_attribute": (
        "You said you {felt} {name}. Do you often play {games}?",
        "You said you {felt} {name}. Does that go for all {games}?",
        "I remember that you {felt} {name}. Do you often play {games}?",
        "I remember that you {felt} {name}. Does that go for all {games}?",
    ),
    "confirm": (
        "You mean {name}, {the_game}, right?",
        "Do you mean {name}, {the_game}?",
        "You are talking about {name}, {the_game}, correct?",
    ),
    "recommend": (
        "Have you tried {name} yet? It is {a_game}.",
        "You should give {name} a try. It is {a_game}.",
        "Why not try {name}, {the_game}?",
    ),
    "suggest": (
        "Do you like {games}, like {name}?",
        "Are you into {games}, such as {name}?",
        "Are you a fan of {games}, like {name}?",
    ),
    "request_explanation": (
        "Why do you {feel} {games}?",
        "What makes you {feel} {games}?",
        "Why is it that you {feel} {games}?",
    ),
    "request": (
        "Do you know any {games} that are {specifier}?",
        "Can you name a {game} that is {specifier}?",
        "Which {games} would you call {specifier}?",
    ),
}
ATTRIBUTE_QUESTIONS = {
    "developer": ("Is there a developer that you trust?", "Do you pay attention to who makes your games?"),
    "esrb": ("Does a game's ESRB rating matter to you?", "Which content rating do your games usually have?"),
    "genres": ("What genre do you like best?", "Which kinds of games do you usually play?"),
    "player_perspective": (
        "Which player perspective do you prefer?",
        "Does the camera's point of view matter to you?",
    ),
    "has_multiplayer": ("Do you like to play games with other people?", "Is multiplayer important to you?"),
    "platforms": ("What do you play your games on?", "Which gaming platform do you own?"),
    "available_on_steam": ("Do you buy your games on Steam?", "Is Steam where you get your games?"),
    "has_linux_release": ("Do you play games on Linux?", "Is a Linux version something you look for?"),
    "has_mac_release": ("Do you play games on a Mac?", "Is a Mac version something you look for?"),
}
SOFTENERS = ("", "", "", "Hey, ", "Okay, ", "By the way, ", "You know, ")

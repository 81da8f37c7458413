"""The authored text of the synthetic sample: invented names, and the phrases that each meaning is worded with.

No sentence and no game is ViGGO's. `{...}` marks what `sample` fills in. Every wording stands for one value only, so that
a sentence determines its meaning representation.
"""

# Titles: "First Second", "Second of Third", with a numeral or a subtitle now and then. The lists hold no real game's title.
TITLE_FIRST = (
    "Amber", "Broken", "Copper", "Crimson", "Distant", "Electric", "Feral", "Frozen", "Gilded", "Hollow", "Iron", "Jade",
    "Lucky", "Midnight", "Neon", "Obsidian", "Paper", "Quiet", "Restless", "Rusty", "Savage", "Shattered", "Silver", "Solar",
    "Tiny", "Velvet", "Wandering", "Wicked", "Winter's", "Yonder",
)  # fmt: skip
TITLE_SECOND = (
    "Anvil", "Archer", "Beacon", "Canyon", "Captain", "Circuit", "Comet", "Compass", "Dragonfly", "Ember", "Falcon", "Garden",
    "Harbor", "Lantern", "Machine", "Meadow", "Orchard", "Outpost", "Parade", "Pirate", "Railway", "Reef", "Sparrow", "Thief",
    "Tower", "Turtle", "Voyage", "Warden", "Whisper", "Zeppelin",
)  # fmt: skip
TITLE_PLACES = (
    "Arkadale", "Brimholt", "Coralia", "Dunmere", "Eastmoor", "Farrow Bay", "Glasswater", "Hexham Vale", "Isla Verano",
    "Karsk", "Lorewood", "Mirrow", "Nivelle", "Ostergard", "Pellucia", "Quarrytown",
)  # fmt: skip
TITLE_SUBTITLES = ("Reborn", "Last Light", "Origins", "The Long Road", "Uprising", "Second Dawn", "No Return", "Homecoming")

STUDIO_FIRST = (
    "Badger", "Birchwood", "Bluefin", "Cinder", "Clockwork", "Daybreak", "Driftwood", "Foxglove", "Granite", "Hazelnut",
    "Juniper", "Kestrel", "Lighthouse", "Marigold", "Nightjar", "Northwind", "Otter", "Pebble", "Quicksilver", "Redwood",
    "Seahorse", "Tangerine", "Thistle", "Umbra", "Walnut", "Yellowtail",
)  # fmt: skip
STUDIO_SECOND = ("Games", "Studios", "Interactive", "Entertainment", "Software", "Works")

SPECIFIERS = (
    "addictive", "ambitious", "atmospheric", "beautiful", "boring", "charming", "cheerful", "clever", "confusing", "creative",
    "demanding", "dramatic", "easy", "emotional", "exciting", "expensive", "fast-paced", "forgettable", "frustrating",
    "funny", "gloomy", "innovative", "intense", "memorable", "mysterious", "original", "overrated", "peaceful", "polished",
    "punishing", "realistic", "relaxing", "repetitive", "rewarding", "scary", "short", "stylish", "surprising", "thrilling",
    "underrated",
)  # fmt: skip

RELEASE_DATES = ("March 4", "April 17", "May 29", "June 8", "August 21", "September 12", "October 30", "November 6")

# What stands before "game" or "games" ...
GENRE_WORDS = {"trivia/board game": "trivia/board"}  # any other genre is worded as itself
MULTIPLAYER_BEFORE = {"yes": "multiplayer", "no": "single-player"}

# ... and what stands behind it.
AFTER = {
    "release_year": ("from {value}", "released in {value}"),
    "exp_release_date": ("coming out on {value}", "due on {value}"),
    "developer": ("by {value}", "developed by {value}", "from the studio {value}"),
    "esrb": ("rated {value}", "with the rating {value}"),
    "player_perspective": ("played in {value}", "with a {value} camera"),
    "platforms": ("for {value}", "on {value}"),
}
MULTIPLAYER_AFTER = {"yes": "with multiplayer", "no": "without multiplayer"}
ESRB_WORDS = {
    "E (for Everyone)": ("E", "E for Everyone"),
    "E 10+ (for Everyone 10 and Older)": ("E 10+", "E 10+ for Everyone 10 and Older"),
    "T (for Teen)": ("T", "T for Teen"),
    "M (for Mature)": ("M", "M for Mature"),
}
PERSPECTIVE_WORDS = {"bird view": "bird's eye view"}  # any other is worded as itself

# Second sentences of `inform`.
AVAILABILITY = {
    "available_on_steam": {
        "yes": ("it is available on Steam", "you can get it on Steam"),
        "no": ("it is not available on Steam", "you can't get it on Steam"),
    },
    "has_linux_release": {
        "yes": ("it has a Linux version", "it runs on Linux"),
        "no": ("it has no Linux version", "it does not run on Linux"),
    },
    "has_mac_release": {
        "yes": ("it has a Mac version", "it runs on Mac"),
        "no": ("it has no Mac version", "it does not run on Mac"),
    },
}
OUR_RATING = {
    "excellent": ("excellent", "outstanding"),
    "good": ("good", "solid"),
    "average": ("average", "middling"),
    "poor": ("poor", "bad"),
}

# `{a_game}`: the described game with its article, `{the_game}` with "the", `{games}` in the plural, `{name}` its title.
FRAMES = {
    "inform": (
        "{name} is {a_game}.",
        "{name}: it is {a_game}.",
        "The game {name} is {a_game}.",
        "Well, {name} is {a_game}.",
    ),
    "confirm": (
        "You mean {name}, {the_game}, right?",
        "Do you mean {name}, {the_game}?",
        "You are talking about {name}, {the_game}, correct?",
        "Is it {name} that you mean, {the_game}?",
    ),
    "recommend": (
        "Have you tried {name} yet? It is {a_game}.",
        "You should give {name} a go, {the_game}.",
        "Have you heard of {name}, {the_game}? Try it.",
        "Why not try {name}? It is {a_game}.",
    ),
    "suggest": (
        "Do you like {games}, like {name}?",
        "Are you into {games}, such as {name}?",
        "Do you enjoy {games}, {name} for example?",
        "Would you say you are a fan of {games}, like {name}?",
    ),
}
OPINION_FRAMES = {
    "excellent": ("I absolutely love {name}, {the_game}.", "{name} is {a_game}, and one of my favorites ever."),
    "good": ("I quite like {name}, {the_game}.", "{name} is {a_game}, and I had a good time with it."),
    "average": ("I have no strong feelings about {name}, {the_game}.", "{name} is {a_game}, and I found it just okay."),
    "poor": ("I really hate {name}, {the_game}.", "{name} is {a_game}, and I regret buying it."),
}
VERIFY_OPENINGS = {
    "excellent": ("You said you loved {name}.", "I remember that {name} was a favorite of yours."),
    "good": ("You said you liked {name}.", "I remember that you had a good time with {name}."),
    "average": ("You said {name} was just okay.", "I remember that you had no strong feelings about {name}."),
    "poor": ("You said you hated {name}.", "I remember that you regretted buying {name}."),
}
VERIFY_QUESTIONS = (
    "Is that how you feel about {games}?",
    "Do you often play {games}?",
    "Does that go for all {games}?",
)
EXPLANATION_FRAMES = {
    "excellent": ("What makes {games} so excellent for you?", "Why do you love {games} so much?"),
    "good": ("What makes {games} good for you?", "Why do you like {games}?"),
    "average": ("What makes {games} just average for you?", "Why do you find {games} just okay?"),
    "poor": ("What makes {games} so poor for you?", "Why do you hate {games} so much?"),
}
REQUEST_FRAMES = (
    "Do you know any {specifier} {games}?",
    "What is the most {specifier} {game} that you have played?",
    "Could you name a {game} that is {specifier}?",
    "Which {games} would you call {specifier}?",
)
ATTRIBUTE_QUESTIONS = {
    "developer": ("Is there a developer that you trust?", "Do you pay attention to who makes your games?"),
    "esrb": ("Does a game's ESRB rating matter to you?", "Which content rating do your games usually have?"),
    "genres": ("What genre do you like best?", "Which kinds of games do you usually play?"),
    "player_perspective": ("Which player perspective do you prefer?", "Does the camera's point of view matter to you?"),
    "has_multiplayer": ("Do you like to play games with other people?", "Is multiplayer important to you?"),
    "platforms": ("What do you play your games on?", "Which gaming platform do you own?"),
    "available_on_steam": ("Do you buy your games on Steam?", "Is Steam where you get your games?"),
    "has_linux_release": ("Do you play games on Linux?", "Is a Linux version something you look for?"),
    "has_mac_release": ("Do you play games on a Mac?", "Is a Mac version something you look for?"),
}
SOFTENERS = ("", "", "", "Hey, ", "Okay, ", "By the way, ", "You know, ")

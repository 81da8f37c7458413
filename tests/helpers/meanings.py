"""Hypothesis strategies for meaning representations: right ones, damaged ones, and text that is none."""

from hypothesis import strategies as st

ACTS = st.sampled_from(
    ["inform", "confirm", "suggest", "request", "request_attribute", "give_opinion", "shout"]
)
_VALUES = {
    "name": ["Portal 2", "portal  2", "Dirt: Showdown", "The Sims, 3"],
    "release_year": ["2011", "2012"],
    "specifier": ["fast-paced", "Straße"],
    "rating": ["good", "poor", "better"],
    "esrb": ["T (for Teen)", "M (for Mature)"],
    "has_multiplayer": ["yes", "no", "maybe"],
    "genres": ["puzzle", "shooter", "fighter"],
    "platforms": ["PC", "Xbox", "Nintendo Switch", "pc"],
    "colour": ["red"],
}


@st.composite
def slots(draw) -> str:
    """One slot: known and unknown attributes; empty, single and listed values."""
    attribute = draw(st.sampled_from(sorted(_VALUES)))
    values = draw(st.lists(st.sampled_from(_VALUES[attribute]), max_size=3))
    return f"{attribute}[{', '.join(values)}]"


_SLOT_LISTS = st.lists(slots(), min_size=1, max_size=5)


@st.composite
def meanings(draw, slot_lists=_SLOT_LISTS) -> str:
    """A well-formed meaning representation, inside the ontology or not."""
    return f"{draw(ACTS)}({', '.join(draw(slot_lists))})"


@st.composite
def damaged(draw, text: str) -> str:
    """`text` with up to three characters taken out, put in or exchanged."""
    for _ in range(draw(st.integers(0, 3))):
        at, out = draw(st.integers(0, len(text))), draw(st.integers(0, 2))
        put = draw(st.sampled_from(["", ",", ", ", "[", "]", "(", ")", " ", "x", "\n"]))
        text = text[:at] + put + text[at + out :]
    return text


# Each kind reaches another part of the parser: nearly right, right at first, and anything at all.
anything = st.one_of(
    st.sampled_from(["inform(name[Portal 2], genres[puzzle, shooter])", "request_attribute(esrb[])"]).flatmap(
        damaged
    ),
    st.builds(
        str.__add__, st.sampled_from(["", "a", "a(", "a(a[", "a(a[], "]), st.text("ai_()[], \n", max_size=40)
    ),
    st.text(max_size=40),
)


@st.composite
def examples(draw) -> dict[str, str]:
    """A row of predictions/*.jsonl, its prediction right, nearly right, reordered, another meaning, or none
    at all.
    """
    slot_list = draw(_SLOT_LISTS)
    reference = draw(meanings(st.just(slot_list)))
    reordered = meanings(st.permutations(slot_list))
    prediction = draw(st.one_of(st.just(reference), damaged(reference), reordered, meanings(), anything))
    before, after = draw(st.sampled_from([("", ""), (" ", ""), ("\u00a0", "\n")]))
    sentence = draw(
        st.sampled_from(
            ["Portal 2: a fast-paced\n shooter of 2011.", "THE SIMS,  3? STRASSE!", "", reference]
        )
    )
    return {
        "id": "0",
        "sentence": sentence,
        "reference": reference,
        "prediction": before + prediction + after,
    }

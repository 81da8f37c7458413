"""Turns pydantic's report of a bad params.yaml into one line that names the key."""

import difflib
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ValidationError

_SHOWN = 80  # characters of a bad value


def explain(error: ValidationError, schema: type[BaseModel]) -> str:
    """The first problem. An unknown key comes first: a misspelling also leaves the right key missing."""
    problems = sorted(
        error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden"
    )
    problem = problems[0]
    place = [part for part in problem["loc"] if not _is_union_label(part)]
    key, is_section = ".".join(map(str, place)), len(place) == 1
    if problem["type"] == "extra_forbidden":
        what = f"section {key!r}" if is_section else f"key {key}"
        return f"unknown {what}{_suggest(str(place[-1]), _keys_at(schema, place[:-1]))}"
    if problem["type"] == "missing":
        what = f"section {key!r}" if is_section else f"key {key}"
        return f"{what} is missing; compare with profiles/quickstart.yaml"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    found = repr(problem["input"])
    shown = found if len(found) <= _SHOWN else found[:_SHOWN] + "..."
    return f"{key} is {shown}: {message[0].lower()}{message[1:]}"


def _is_union_label(part: str | int) -> bool:
    """Whether pydantic added this part of a location to say which member of a union it tried."""
    return isinstance(part, str) and (part in {"str", "int", "float", "bool"} or "[" in part)


def _keys_at(schema: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    for part in place:
        annotation = schema.model_fields[str(part)].annotation
        assert isinstance(annotation, type) and issubclass(annotation, BaseModel)
        schema = annotation
    return list(schema.model_fields)


def _suggest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"

"""params.yaml in words: a file with a comment for each key, and the list that `viggo params` prints.

Both take their words from the settings' descriptions.
"""

import textwrap
from collections.abc import Iterator
from typing import Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_WIDTH = 100
_NO_LIMIT = 2**31


def commented_yaml(params: BaseModel, heading: str) -> str:
    """The text of a complete params.yaml with the values of `params`. Each key stands under its meaning."""
    sections = [_comment(heading, "")]
    for name in type(params).model_fields:
        section = getattr(params, name)
        sections.append([*_comment(section.__doc__, ""), f"{name}:", *_yaml_keys(section)])
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def describe(params: BaseModel) -> Iterator[str]:
    """Yield the lines of a list of all keys: `section.key = value`, and below it what the key means."""
    for number, name in enumerate(type(params).model_fields):
        if number:
            yield ""
        yield from _described_keys(getattr(params, name), name)


def _described_keys(section: BaseModel, place: str) -> Iterator[str]:
    yield from _wrapped(f"{place}: {section.__doc__}", "# ")
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _described_keys(value, f"{place}.{name}")
        else:
            yield f"{place}.{name} = {_one_line(value)}"
            yield from _wrapped(_meaning(field), "    ")


def _yaml_keys(section: BaseModel) -> Iterator[str]:
    indent = "  "
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _comment(value.__doc__, indent)
            yield f"{indent}{name}: {_one_line(value.model_dump())}"
            continue
        yield from _comment(_meaning(field), indent)
        block = _block(name, value) if isinstance(value, str) and "\n" in value else None
        # A text that ends in several line ends, say, is not what such a block reads as.
        if block is not None and yaml.safe_load(f"{block}\n") == {name: value}:
            yield textwrap.indent(block, indent)
        else:
            yield f"{indent}{name}: {_one_line(value)}"


def _meaning(field: FieldInfo) -> str:
    """The field's description; and its choices, where the description does not name them all."""
    meaning = field.description or ""
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    if all(str(choice) in meaning for choice in choices):
        return meaning
    return f"{meaning} One of: {', '.join(map(str, choices))}."


def _comment(text: str | None, indent: str) -> list[str]:
    return _wrapped(text or "", f"{indent}# ")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _one_line(value: object) -> str:
    """`value` in YAML, on one line."""
    style = '"' if isinstance(value, str) and not value.isprintable() else None
    text = yaml.safe_dump(
        value,
        default_style=style,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=_NO_LIMIT,
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _block(key: str, text: str) -> str:
    """`key: text` in YAML, with a text of several lines as they are."""
    return yaml.dump({key: text}, Dumper=_BlockDumper, allow_unicode=True, width=_NO_LIMIT).rstrip("\n")


class _BlockDumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_BlockDumper.add_representer(str, _represent_text)

"""Loads params.yaml: the whole file is checked, and a stage is handed only the sections that it declares in dvc.yaml."""

import difflib
import importlib
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from viggo_pipe.errors import InputError, one_line

PARAMS_FILE = Path("params.yaml")
SECTIONS = (
    *("dataset", "model", "prompt", "augment", "tokenize", "quantize", "lora", "train", "generate", "probe", "score"),
    "runtime",
)


class Params:
    """The sections that were asked for, as attributes; any other section raises, since reading it would escape DVC."""

    def __init__(self, sections: dict[str, BaseModel]):
        self.__dict__.update(sections)

    def __getattr__(self, section: str):
        if section in SECTIONS:
            raise AttributeError(f"section {section!r} was not asked for: name it in load_params() and in dvc.yaml")
        raise AttributeError(section)


def load_params(*sections: str, path: str | Path = PARAMS_FILE) -> Params:
    """Check every section of `path` and return `sections`, and always `runtime`.

    Raises:
        InputError: the file is missing or not YAML, or a key is unknown, missing or of the wrong type.
    """
    read = _read_yaml(Path(path))
    checked = _check(read, Path(path))
    return Params({name: checked[name] for name in (*sections, "runtime")})


def _read_yaml(path: Path) -> dict:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; run in the project's folder, or `viggo use quickstart`"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not YAML: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no sections; expected {', '.join(SECTIONS)}")
    return content


class _UniqueKeys(yaml.SafeLoader):
    """Safe loading that takes a key twice for the mistake that it is, where YAML's last one would win."""

    def construct_mapping(self, node, deep=False):
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            keys = [key.value for key, _ in node.value]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.constructor.ConstructorError(None, None, f"key {twice!r} stands there twice", node.start_mark)
        return mapping


def _check(content: dict, path: Path) -> dict[str, BaseModel]:
    for name in content:
        if name not in SECTIONS:
            raise InputError(f"{path}: unknown section {name!r}{_suggest(str(name), SECTIONS)}")
    checked = {}
    for name in SECTIONS:
        if name not in content:
            raise InputError(f"{path}: section {name!r} is missing; compare with profiles/quickstart.yaml")
        schema = section_schema(name)
        try:
            checked[name] = schema.model_validate(content[name])
        except ValidationError as error:
            raise InputError(f"{path}: {_explain(name, schema, error)}") from error
    if checked["train"].reverse_members and checked["prompt"].reverse is None:
        raise InputError(
            f"{path}: train.reverse_members needs prompt.reverse, the prompt that they learn; set it, or set them to 0"
        )
    if checked["generate"].reverse_weight and not checked["train"].reverse_members:
        raise InputError(f"{path}: generate.reverse_weight needs train.reverse_members, which it asks; set them, or set it to 0")
    return checked


def section_schema(name: str) -> type[BaseModel]:
    """The schema of a section. Imported by name, so that a stage depends only on the schemas that its own modules import."""
    module = importlib.import_module(f"viggo_pipe.settings.{name}")
    return getattr(module, f"{name.capitalize()}Settings")


def _explain(section: str, schema: type[BaseModel], error: ValidationError) -> str:
    """The first problem as one line: an unknown key first, since a misspelling also leaves the right key missing."""
    problems = sorted(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    place = [part for part in problem["loc"] if not _is_union_label(part)]
    key = ".".join(map(str, (section, *place)))
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key}{_suggest(str(place[-1]), _keys_at(schema, place[:-1]))}"
    if problem["type"] == "missing":
        return f"key {key} is missing; compare with profiles/quickstart.yaml"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{key}: {message}"
    found = repr(problem["input"])
    return f"{key} is {found if len(found) <= 80 else found[:80] + '...'}: {message[0].lower()}{message[1:]}"


def _is_union_label(part: str | int) -> bool:
    """Whether pydantic added this part of a location to say which member of a union it tried."""
    return isinstance(part, str) and (part in {"str", "int", "float", "bool"} or "[" in part)


def _keys_at(schema: type[BaseModel], place: list) -> list[str]:
    for part in place:
        schema = schema.model_fields[part].annotation
    return list(schema.model_fields)


def _suggest(word: str, known) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"

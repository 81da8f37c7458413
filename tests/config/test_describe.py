"""params.yaml in words: every key is documented, and the comments are the settings' descriptions."""

import re

import pytest
import yaml
from helpers.imports import ROOT
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from viggo_pipe.config.describe import commented_yaml, describe
from viggo_pipe.config.load import SECTIONS, Params, check_params
from viggo_pipe.config.profiles import load_profile

PARAMS = load_profile(ROOT / "profiles/quickstart.yaml")


def models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The models of a model's fields, and of theirs."""
    inner = [field.annotation for field in model.model_fields.values()]
    found = [kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return found + [below for kind in found for below in models(kind)]


@pytest.mark.parametrize("model", models(Params), ids=lambda model: model.__name__)
def test_every_section_and_key_has_a_description(model):
    assert model.__doc__ and model.__doc__ != BaseModel.__doc__
    for name, field in model.model_fields.items():
        described = field.description
        if isinstance(getattr(field.annotation, "__doc__", None), str) and field.annotation in models(model):
            described = field.annotation.__doc__
        assert described, f"{model.__name__}.{name}"
        assert described == " ".join(described.split()), f"{model.__name__}.{name} has odd spaces"


def keys_of(content: dict, prefix: str = "") -> list[str]:
    """The keys of nested mappings, with dots."""
    found = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        found += keys_of(value, f"{name}.") if isinstance(value, dict) else [name]
    return found


def test_the_list_has_all_keys_with_values_and_meanings():
    lines = list(describe(PARAMS))
    content = PARAMS.model_dump()
    listed = dict(line.split(" = ", 1) for line in lines if " = " in line and not line.startswith((" ", "#")))
    assert list(listed) == keys_of(content)
    for key, text in listed.items():
        value = content
        for part in key.split("."):
            value = value[part]
        assert yaml.safe_load(text) == value, key
        assert lines[lines.index(f"{key} = {text}") + 1].startswith("    "), f"{key} has no meaning"
    headings = [line.removeprefix("# ").split(":")[0] for line in lines if line.startswith("# ")]
    assert [heading for heading in headings if heading in SECTIONS] == list(SECTIONS)


@pytest.mark.parametrize("profile", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_commented_file_reads_back_as_it_was(profile):
    params = load_profile(profile)
    assert check_params(yaml.safe_load(commented_yaml(params, "A heading.")), profile) == params


@given(text=st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\x85\u2028: #'\"")))
def test_any_text_reads_back_as_it_was(text):
    params = load_profile(ROOT / "profiles/quickstart.yaml").model_dump()
    params["prompt"]["template"] = "{sentence}" + text
    params["dataset"]["path"] = "x" + text
    params = Params.model_construct(
        **{
            name: field.annotation.model_construct(**params[name])
            for name, field in Params.model_fields.items()
        }
    )
    written = yaml.safe_load(commented_yaml(params, "A heading."))
    assert written["prompt"]["template"] == "{sentence}" + text
    assert written["dataset"]["path"] == "x" + text


def test_each_key_stands_below_its_description():
    """In its section. What a description does not say of the choices may follow it there."""
    text = commented_yaml(PARAMS, "A heading.")
    assert text.startswith("# A heading.\n\n")
    for section in SECTIONS:
        (lines,) = re.findall(rf"^{section}:\n((?:  .*\n)+)", text, re.MULTILINE)
        for name, field in Params.model_fields[section].annotation.model_fields.items():
            (comment,) = re.findall(rf"((?:^  # .*\n)+)^  {name}:", lines, re.MULTILINE)
            said = " ".join(comment.replace("  # ", "").split())
            assert said.startswith(field.description or field.annotation.__doc__), f"{section}.{name}"


def test_params_yaml_in_git_is_what_use_writes(tmp_path, monkeypatch):
    """Its comments cannot drift from the descriptions."""
    from helpers.project import Project

    from viggo_pipe.config.profiles import use_profile

    project = Project(tmp_path)
    monkeypatch.chdir(project.folder)
    use_profile("quickstart")
    written = (project.folder / "params.yaml").read_text(encoding="utf-8")
    assert written == (ROOT / "params.yaml").read_text(encoding="utf-8"), "run `viggo use quickstart`"

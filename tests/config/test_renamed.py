"""Names of earlier versions are refused, each with its new name."""

import re

import pytest
import yaml
from helpers.imports import ROOT

from viggo_pipe.config.load import SECTIONS, Params, load_params
from viggo_pipe.config.renamed import RENAMED
from viggo_pipe.core.errors import InputError

QUICKSTART = yaml.safe_load((ROOT / "profiles/quickstart.yaml").read_text(encoding="utf-8"))


def known_keys() -> set[str]:
    """Every section, and every key of one."""
    sections = {name: Params.model_fields[name].annotation.model_fields for name in SECTIONS}
    return {*sections, *(f"{section}.{key}" for section, keys in sections.items() for key in keys)}


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_is_refused_in_one_line_that_has_the_new_one(tmp_path, old):
    content = yaml.safe_load(yaml.safe_dump(QUICKSTART))
    section, _, key = old.partition(".")
    content.setdefault(section, {})
    if key:
        content[section][key] = 1
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InputError) as raised:
        load_params(path=path)
    message = str(raised.value)
    assert message.startswith(str(path)) and "\n" not in message
    assert old in message and RENAMED[old] in message and "rename" in message


@pytest.mark.parametrize("old", RENAMED)
def test_the_new_name_exists_and_the_old_one_does_not(old):
    (new,) = re.findall(r"^[\w.]+", RENAMED[old])
    assert new in known_keys() and old not in known_keys()


@pytest.mark.parametrize("content", [{"probe": None}, {"lora": None, "probe": [1]}])
def test_an_old_section_is_refused_whatever_it_holds(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InputError, match=r"probe .*robustness"):
        load_params(path=path)

"""Loads params.yaml. All of it is checked; a stage gets only the sections that dvc.yaml declares for it."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from viggo_pipe.config.explain import explain
from viggo_pipe.config.renamed import check_names
from viggo_pipe.config.settings.augment import AugmentSettings
from viggo_pipe.config.settings.dataset import DatasetSettings
from viggo_pipe.config.settings.generate import GenerateSettings
from viggo_pipe.config.settings.lora import LoraSettings
from viggo_pipe.config.settings.model import ModelSettings
from viggo_pipe.config.settings.prompt import PromptSettings
from viggo_pipe.config.settings.quantize import QuantizeSettings
from viggo_pipe.config.settings.robustness import RobustnessSettings
from viggo_pipe.config.settings.runtime import RuntimeSettings
from viggo_pipe.config.settings.score import ScoreSettings
from viggo_pipe.config.settings.tokenize import TokenizeSettings
from viggo_pipe.config.settings.train import TrainSettings
from viggo_pipe.core.errors import InputError, one_line

PARAMS_FILE = Path("params.yaml")


class Params(BaseModel):
    """The sections of params.yaml, in the order of the flow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: DatasetSettings
    model: ModelSettings
    prompt: PromptSettings
    augment: AugmentSettings
    tokenize: TokenizeSettings
    quantize: QuantizeSettings
    lora: LoraSettings
    train: TrainSettings
    generate: GenerateSettings
    robustness: RobustnessSettings
    score: ScoreSettings
    runtime: RuntimeSettings

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in type(self).model_fields:
                raise AttributeError(
                    f"section {name} was not loaded: name it in load_params, and in dvc.yaml among the "
                    "stage's params"
                )
            return super().__getattr__(name)

    @model_validator(mode="after")
    def _reverse_direction(self) -> Self:
        if self.train.reverse_members and self.prompt.reverse is None:
            raise ValueError(
                "train.reverse_members needs prompt.reverse, the prompt that they learn: set it, or set "
                "train.reverse_members to 0"
            )
        if self.generate.channel_weight and not self.train.reverse_members:
            raise ValueError(
                "generate.channel_weight needs train.reverse_members, whose adapter it uses: set it, or set "
                "generate.channel_weight to 0"
            )
        return self


SECTIONS = tuple(Params.model_fields)


def load_params(*sections: str, path: str | Path = PARAMS_FILE) -> Params:
    """Check all of `path` and return `sections`, and always `runtime`.

    Reading another section raises AttributeError: DVC does not rerun a stage for a section that its `params:`
    in dvc.yaml do not name.

    Raises:
        InputError: the file is missing or not YAML, or a key is unknown, missing or of the wrong type.
    """
    params = check_params(read_yaml(Path(path)), path)
    return Params.model_construct(**{name: getattr(params, name) for name in (*sections, "runtime")})


def check_params(content: dict[str, Any], path: str | Path) -> Params:
    """The sections of `content`, which was read from `path`.

    Raises:
        InputError: a key is unknown, missing or of the wrong type.
    """
    check_names(content, path)
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error, Params)}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in `path`, with plain values only.

    Raises:
        InputError: the file is missing, is not UTF-8 or not YAML, or holds no mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
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


class _Loader(yaml.SafeLoader):
    """Safe loading that refuses a key that stands there twice, where YAML's last one would win.

    DVC reads YAML 1.2, PyYAML 1.1. Where that makes another number of the same text (010, 1:30), it is a text
    here, which a setting takes as DVC does or not at all.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for place, _ in node.value:
            if place.tag == _MERGE:  # whose keys may be overridden
                continue
            key = self.construct_object(place, deep=True)
            if isinstance(key, Hashable) and key in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {place.value!r} stands there twice", place.start_mark
                )
            if isinstance(key, Hashable):  # the base class refuses others
                keys.add(key)
        return super().construct_mapping(node, deep)


_MERGE = "tag:yaml.org,2002:merge"
_INT = "tag:yaml.org,2002:int"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _INT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?(0|[1-9][0-9]*|0x[0-9a-fA-F]+)$"), list("-+0123456789"))

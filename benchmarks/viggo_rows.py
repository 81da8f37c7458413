"""ViGGO's rows as the profile mistral-7b has them: its prompt, its model's tokenizer."""

from pathlib import Path
from typing import TypeVar

from viggo_pipe.config.load import Params
from viggo_pipe.config.profiles import load_profile
from viggo_pipe.config.settings.section import Section
from viggo_pipe.data.dataset import read_splits
from viggo_pipe.models.base_model import BaseCheckpoint
from viggo_pipe.models.tokenizer import load_tokenizer
from viggo_pipe.tokens.prompt import PromptEncoder

_MISTRAL = Path(__file__).parents[1] / "profiles/mistral-7b.yaml"
AnySection = TypeVar("AnySection", bound=Section)


def changed(section: AnySection, **changes) -> AnySection:
    """`section` with other values, which are checked."""
    return type(section).model_validate(section.model_dump() | changes)


def profile_for(folder: Path, viggo: Path) -> tuple[Params, BaseCheckpoint]:
    """The profile's params with the dataset in the folder `viggo`, and the model in `folder`."""
    params = load_profile(_MISTRAL)
    sections = {
        "dataset": changed(params.dataset, source="local", path=str(viggo)),
        "runtime": changed(params.runtime, progress="plain"),
    }
    return params.model_copy(update=sections), BaseCheckpoint(folder, folder.name, None)


def read_split(params: Params, split: str) -> list[dict[str, str]]:
    """The rows of a split, with `sentence` and `meaning_representation`."""
    return list(read_splits(params.dataset)[split])


def encoder_for(params: Params, base: BaseCheckpoint) -> PromptEncoder:
    """The encoder of the profile's prompt."""
    return PromptEncoder(load_tokenizer(base), params.prompt)

"""ViGGO's rows as a profile has them: its prompt, its model's tokenizer."""

from pathlib import Path

from viggo_pipe.base_model import BaseModel
from viggo_pipe.dataset import read_splits
from viggo_pipe.params import SECTIONS, Params, load_params
from viggo_pipe.prompt import PromptEncoder
from viggo_pipe.tokenizer import load_tokenizer

_MISTRAL = Path(__file__).parents[1] / "profiles/mistral-7b.yaml"


def params_for(profile: Path, viggo: Path) -> Params:
    """The params of a profile's file with the dataset in the folder `viggo`."""
    params = load_params(*SECTIONS, path=profile)
    params.dataset = params.dataset.model_copy(update={"source": "local", "path": str(viggo)})
    params.runtime = params.runtime.model_copy(update={"progress": "plain"})
    return params


def profile_for(folder: Path, viggo: Path) -> tuple[Params, BaseModel]:
    """The mistral-7b profile's params with the dataset in the folder `viggo`, and the model in `folder`."""
    return params_for(_MISTRAL, viggo), BaseModel(folder, folder.name, None)


def read_split(params: Params, split: str) -> list[dict[str, str]]:
    """The rows of a split, with `sentence` and `meaning_representation`."""
    return list(read_splits(params.dataset)[split])


def encoder_for(params: Params, base: BaseModel) -> PromptEncoder:
    """The encoder of the profile's prompt."""
    return PromptEncoder(load_tokenizer(base), params.prompt)

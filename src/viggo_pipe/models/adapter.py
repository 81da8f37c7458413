"""The trained adapter on disk: peft's two files, made reproducible, and the prompt that it was trained with.

A reverse adapter, from meaning representation to sentence, has a folder of its own within.
"""

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peft import PeftModel, get_peft_model_state_dict
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from viggo_pipe.config.settings.prompt import PromptSettings
from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.core.files import atomic_folder
from viggo_pipe.core.metrics_io import write_metrics
from viggo_pipe.models.base_model import BaseCheckpoint
from viggo_pipe.models.checkpoint_files import tensor_dtypes

_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_PROMPT = "prompt.json"
DEFAULT = "default"  # peft's name of the adapter that it saves without a folder of its own
REVERSE = "reverse"


def save_adapter(model: PeftModel, base: BaseCheckpoint, prompt: PromptSettings, folder: str | Path) -> None:
    """Write adapter_model.safetensors, adapter_config.json and prompt.json, and nothing else, to `folder`.

    A reverse adapter's first two go to the folder `reverse` within. The same weights give the same bytes:
    peft orders `target_modules` by hash and names the base by its path on this disk. Here keys and modules
    are sorted, and the base has its Hub id or package.
    """
    with atomic_folder(folder) as partial:
        # Else peft writes a whole embedding or head if LoRA adapts it. They are the base's, and stay so.
        model.save_pretrained(str(partial), safe_serialization=True, save_embedding_layers=False)
        _normalize(partial, base, prompt)


def save_checkpoints_adapter(
    checkpoint: Path, base: BaseCheckpoint, prompt: PromptSettings, folder: str | Path
) -> None:
    """Write the adapter that the Trainer saved in `checkpoint` to `folder`, in `save_adapter`'s format."""
    with atomic_folder(folder) as partial:
        shutil.copyfile(checkpoint / _CONFIG, partial / _CONFIG)
        tensors = load_file(checkpoint / _WEIGHTS)
        # The Trainer has no word in what peft writes; see above.
        adapter = {name: tensor for name, tensor in tensors.items() if ".base_layer." not in name}
        save_file(adapter, partial / _WEIGHTS, metadata={"format": "pt"})
        _normalize(partial, base, prompt)


def _normalize(folder: Path, base: BaseCheckpoint, prompt: PromptSettings) -> None:
    """Turn what peft wrote to `folder` into `save_adapter`'s files."""
    for adapter in _adapters(folder):
        for path in list(adapter.iterdir()):
            if path.name not in (_CONFIG, _WEIGHTS, REVERSE):
                path.unlink()
        config = json.loads((adapter / _CONFIG).read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = base.name
        config["revision"] = base.revision
        if isinstance(config["target_modules"], list):
            config["target_modules"].sort()
        write_metrics(adapter / _CONFIG, config)
    write_metrics(folder / _PROMPT, prompt.model_dump())


def load_adapter(model: PreTrainedModel, base: BaseCheckpoint, folder: str | Path) -> PeftModel:
    """Put the adapter in `folder` on `model`, for inference; and its reverse adapter, if any, as `REVERSE`.

    Raises:
        InputError: the adapter is missing, damaged, no LoRA adapter of this model, or was trained on another
            base.
    """
    adapters = _adapters(Path(folder))
    for adapter in adapters:
        config = _read_json(adapter / _CONFIG)
        if config.get("peft_type") != "LORA":
            raise InputError(
                f"{adapter / _CONFIG}: peft_type is {str(config.get('peft_type'))[:40]!r}, not 'LORA', "
                "which alone is trained here; train again, or fetch the adapter anew with `dvc pull --force`"
            )
        trained_on = (config.get("base_model_name_or_path"), config.get("revision"))
        if trained_on != (base.name, base.revision):
            raise InputError(
                f"{adapter} was trained on {_describe(*trained_on)}, but params.yaml's model is "
                f"{_describe(base.name, base.revision)}; use the params it was trained with, or train again: "
                "dvc repro train"
            )
        if not (adapter / _WEIGHTS).is_file():
            raise InputError(
                f"{adapter} has no {_WEIGHTS}; train it with `dvc repro`, or fetch it with `dvc pull`"
            )
    try:
        with warnings.catch_warnings():
            # peft only warns; `_check_tensors` refuses.
            warnings.filterwarnings("ignore", "Found missing adapter keys")
            loaded = PeftModel.from_pretrained(model, folder, is_trainable=False)
            if has_reverse(folder):
                loaded.load_adapter(Path(folder) / REVERSE, REVERSE, is_trainable=False)
        for name, adapter in zip((DEFAULT, REVERSE), adapters, strict=False):
            _check_tensors(loaded, name, adapter / _WEIGHTS)
        return loaded
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        raise InputError(
            f"the adapter in {folder} is damaged or of another model ({one_line(error)[:200]}); train it "
            "again with `dvc repro`, or fetch it anew with `dvc pull --force`"
        ) from error


def _check_tensors(model: PeftModel, name: str, path: Path) -> None:
    """Check that the file that the adapter `name` of `model` was read from has every tensor of it, and no
    other: peft would put another one in the place of the base's.
    """
    taken = set(get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False))
    held = set(tensor_dtypes(path))
    if taken != held:
        missing, extra = sorted(taken - held), sorted(held - taken)
        raise InputError(
            f"{path} is of another model, or its {_CONFIG} was changed: of its tensors {len(missing):,} are "
            f"missing and {len(extra):,} left over, such as {(missing + extra)[0]}; train it "
            "again with `dvc repro`, or fetch it anew with `dvc pull --force`"
        )


@contextmanager
def reverse_adapter(model: PeftModel) -> Iterator[None]:
    """Use the reverse adapter in the block."""
    model.set_adapter(REVERSE, inference_mode=True)
    try:
        yield
    finally:
        model.set_adapter(DEFAULT, inference_mode=True)


def adapter_prompt(folder: str | Path) -> PromptSettings:
    """The prompt that the adapter in `folder` was trained with.

    Raises:
        InputError: there is no adapter.
    """
    path = Path(folder) / _PROMPT
    try:
        # An adapter that is older than the key has no reverse adapter.
        return PromptSettings.model_validate({"reverse": None, **_read_json(path)})
    except ValidationError as error:
        raise InputError(
            f"{path} holds no prompt; train again, or fetch the adapter anew with `dvc pull --force`"
        ) from error


def has_reverse(folder: str | Path) -> bool:
    """Whether the adapter in `folder` has a reverse adapter."""
    return (Path(folder) / REVERSE).is_dir()


def _adapters(folder: Path) -> list[Path]:
    """The folder of the adapter and, if there is one, of its reverse adapter."""
    return [folder, folder / REVERSE] if has_reverse(folder) else [folder]


def _describe(name: str | None, revision: str | None) -> str:
    return f"{name} at {revision[:12]}" if revision else str(name)


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not an object")
        return content
    except OSError as error:
        raise InputError(
            f"no adapter: cannot read {path}; train one with `dvc repro`, or fetch it with `dvc pull`"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path} is not JSON ({error}); train again, or fetch the adapter anew with `dvc pull`"
        ) from error

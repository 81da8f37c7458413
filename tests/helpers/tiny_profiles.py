"""A profile with a tiny model and few rows, for tests of the benchmarks that run a profile's stages."""

from pathlib import Path

import yaml
from helpers.imports import ROOT
from helpers.tiny_model import write_tiny_mistral

from viggo_pipe.config.profiles import load_profile

_CHANGES = {
    "dataset": {"train_share": 0.02},
    "augment": {"variants": 1},
    "tokenize": {"max_length": 400},
    "lora": {"r": 4, "upper_layers": 1},
    "train": {
        "soup_members": 2,
        "reverse_members": 1,
        "num_train_epochs": None,
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "eval_steps": None,
    },
    "generate": {"max_new_tokens": 2},
    "robustness": {"rows": 2},
    "score": {"bootstrap_resamples": 200},
}


def tiny_viggo_profile(folder: Path) -> Path:
    """The file, in `folder`, of a tiny profile like smollm2-135m: two steps on real ViGGO."""
    write_tiny_mistral(folder / "tiny-mistral")
    content = load_profile(ROOT / "profiles/smollm2-135m.yaml").model_dump()
    model = {"model": {"source": "local", "path": str(folder / "tiny-mistral"), "sha256": None}}
    for section, keys in (_CHANGES | model).items():
        content[section] |= keys
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path

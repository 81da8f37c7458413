"""Profiles with a tiny model and few rows, for tests of the benchmarks that run a profile's stages."""

from pathlib import Path

import yaml
from imports import ROOT
from tiny_model import write_tiny_mistral

_TINY = {"lora": {"r": 4, "upper_layers": 1}, "score": {"bootstrap_resamples": 200}}
_FROM_VIGGO = {
    "dataset": {"train_share": 0.02},
    "tokenize": {"max_length": 400},
    "augment": {"variants": 1},
    "train": {"soup_members": 2, "reverse_members": 1, "epochs": None, "max_steps": 2, "batch_size": 2, "eval_steps": None},
    "generate": {"max_new_tokens": 2},
    "probe": {"rows": 2},
}
_FROM_THE_SAMPLE = {
    "dataset": {"sample": {"train": 20, "validation": 4, "test": 6, "seed": 0}},
    "tokenize": {"max_length": 256},
    "generate": {"max_new_tokens": 8, "batch_size": 4},
    "probe": {"rows": 2},
}


def tiny_viggo_profile(folder: Path, **sections: dict) -> Path:
    """The file, in `folder`, of a tiny profile like smollm2-135m, with other `sections`: some steps on real ViGGO."""
    return _write(folder, "smollm2-135m", _FROM_VIGGO | sections)


def tiny_sample_profile(folder: Path) -> Path:
    """The file, in `folder`, of a tiny profile like quickstart, of 20 training rows."""
    return _write(folder, "quickstart", _FROM_THE_SAMPLE)


def _write(folder: Path, name: str, changes: dict[str, dict]) -> Path:
    write_tiny_mistral(folder / "tiny-mistral")
    content = yaml.safe_load((ROOT / f"profiles/{name}.yaml").read_text(encoding="utf-8"))
    model = {"model": {"source": "local", "path": str(folder / "tiny-mistral"), "sha256": None}}
    for section, keys in (_TINY | changes | model).items():
        content[section] |= keys
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path

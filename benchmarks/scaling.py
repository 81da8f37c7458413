"""How the pipeline grows with the dataset: ViGGO, and ten and a hundred times as many rows.

python benchmarks/scaling.py VIGGO [--times 1 10 100] [--out benchmarks/results/scaling.json]

VIGGO is the folder of ViGGO's CSV files. Larger datasets repeat its rows under other ids. Each stage is a
process of its own, as in the pipeline; what it took is what it wrote to runs/STAGE.json. Scored are the
training references, as predictions of either model.

A training is started twice, on packs and on single rows by length: it takes two optimizer steps. Its model is
tiny, but has SmolLM2's vocabulary: a real one would hide what the rows take.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import yaml

from viggo_pipe.config.load import load_params
from viggo_pipe.config.profiles import load_profile
from viggo_pipe.core.jsonl import read_jsonl, write_jsonl
from viggo_pipe.core.machine import describe_machine
from viggo_pipe.core.stage import run_stage

ROOT = Path(__file__).parents[1]
STAGES = ("fetch", "tokenize", "score")
STARTS = {
    "start-packed": {"pack_length": 512, "train_sampling_strategy": "random"},
    "start-by-length": {"pack_length": None, "train_sampling_strategy": "group_by_length"},
}
_SCRIPTS = {"fetch": "fetch_dataset.py", "tokenize": "tokenize_dataset.py", "score": "score.py"}
_STEPS = 2


def repeat(viggo: Path, folder: Path, times: int) -> None:
    """Write ViGGO's files with each row `times` times, under ids of its own."""
    folder.mkdir()
    for split in ("train", "validation", "test"):
        with open(viggo / f"{split}.csv", encoding="utf-8-sig", newline="") as source:
            rows = list(csv.DictReader(source))
        with open(folder / f"{split}.csv", "w", encoding="utf-8", newline="") as target:
            writer = csv.DictWriter(target, rows[0].keys())
            writer.writeheader()
            for number in range(times):
                writer.writerows(row | {"gem_id": f"{row['gem_id']}-{number}"} for row in rows)


def prepare(folder: Path, data: Path) -> None:
    """Make a workspace of the pipeline with the profile smollm2-135m, without variants, on the CSV files in
    `data`.
    """
    folder.mkdir()
    shutil.copytree(ROOT / "stages", folder / "stages")
    params = load_profile(ROOT / "profiles/smollm2-135m.yaml").model_dump()
    sha256 = dict.fromkeys(params["dataset"]["sha256"])
    params["dataset"] |= {"source": "local", "path": str(data.resolve()), "sha256": sha256}
    params["augment"]["variants"] = 1
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def measure(viggo: Path, folder: Path, times: int) -> dict[str, dict[str, float]]:
    """Seconds and peak memory of each stage, and of each start of a training, on `times` ViGGO."""
    repeat(viggo, folder / "data", times)
    workspace = folder / "workspace"
    prepare(workspace, folder / "data")
    for stage in STAGES:
        if stage == "score":
            write_predictions(workspace)
        _run(workspace, f"stages/{_SCRIPTS[stage]}")
    for start in STARTS:
        _run(workspace, str(Path(__file__).resolve()), str(viggo), "--start", start)
    return {name: _figures(workspace, name) for name in (*STAGES, *STARTS)}


def _run(workspace: Path, *arguments: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}  # this checkout's library
    command = [sys.executable, *arguments]
    subprocess.run(command, cwd=workspace, env=environment, check=True, stdout=subprocess.DEVNULL)


def _figures(workspace: Path, name: str) -> dict[str, float]:
    run = json.loads((workspace / "runs" / f"{name}.json").read_text(encoding="utf-8"))
    return {key: run[key] for key in ("seconds", "peak_memory_mib")}


def write_predictions(workspace: Path) -> None:
    """Write the training references as what both models predicted, and the first as a robustness set's."""
    for name, rows in (("base", None), ("tuned", None), ("robustness/unseen_names", 1)):
        answers = (
            {
                "id": row["id"],
                "sentence": row["sentence"],
                "reference": row["meaning_representation"],
                "prediction": row["meaning_representation"],
            }
            for row in islice(read_jsonl(workspace / "data/raw/train.jsonl"), rows)
        )
        write_jsonl(workspace / f"predictions/{name}.jsonl", answers)


def start_training(settings: dict[str, object]) -> None:
    """Read the tokens that lie here as stage train does, and take two optimizer steps, of a row or a pack."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    from viggo_pipe.models.base_model import find_base_model
    from viggo_pipe.models.tokenizer import load_tokenizer
    from viggo_pipe.tokens.storage import open_tokens, unpack_tokens
    from viggo_pipe.training.train import build_trainer

    params = load_params("model", "train")
    tokenizer = load_tokenizer(find_base_model(params.model, weights=False))
    shape = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape))
    model = get_peft_model(model, LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"))
    small = {
        "max_steps": _STEPS,
        "num_train_epochs": None,
        "eval_steps": None,
        "per_device_train_batch_size": 1,
    }
    train = params.train.model_copy(update=small | settings)
    with tempfile.TemporaryDirectory() as scratch:
        tokens, validation = (
            open_tokens(unpack_tokens(f"data/tokenized/{split}.parquet", Path(scratch)))
            for split in ("train", "validation")
        )
        build_trainer(
            model, tokens.rows, validation.rows, tokenizer.pad_token_id, train, params.runtime, Path(scratch)
        ).train()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("viggo", type=Path, help="the folder of ViGGO's CSV files")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/scaling.json")
    parser.add_argument("--start", choices=STARTS, help="start a training on the tokens that lie here")
    options = parser.parse_args()
    if options.start is not None:
        sys.exit(run_stage(options.start, lambda: start_training(STARTS[options.start])))
    sizes = {}
    for times in options.times:
        with tempfile.TemporaryDirectory() as folder:
            sizes[str(times)] = measure(options.viggo.resolve(), Path(folder), times)
        print(times, sizes[str(times)], flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(
        json.dumps({"machine": describe_machine(), "times": sizes}, indent=2) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()

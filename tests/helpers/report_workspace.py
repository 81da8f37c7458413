"""A workspace that the stages before `report` have left: real metrics and plots of predictions that a test
makes up.
"""

from pathlib import Path

from helpers.decoding_settings import decoding_settings

from viggo_pipe.config.settings.dataset import DatasetSettings
from viggo_pipe.config.settings.model import ModelSettings
from viggo_pipe.config.settings.score import ScoreSettings
from viggo_pipe.core.jsonl import write_jsonl
from viggo_pipe.core.metrics_io import write_metrics, write_plot
from viggo_pipe.evaluation.metrics import MetricAccumulator
from viggo_pipe.evaluation.paired_test import compare_base_and_tuned
from viggo_pipe.evaluation.scoring import judge

SCRIPT = "</script><script>window.attacked = true</script><img src=x onerror='window.attacked = true'>"
# Sentence, reference, base prediction, tuned prediction.
ROWS = [
    ("Do you like Portal 2?", "confirm(name[Portal 2])", "The game is a game.", "confirm(name[Portal 2])"),
    (
        "I love puzzle games.",
        "give_opinion(rating[excellent], genres[puzzle])",
        "",
        "give_opinion(rating[good], genres[puzzle])",
    ),
    (
        "It is on PC and Xbox.",
        "inform(platforms[Xbox, PC])",
        "inform(platforms[Xbox, PC])",
        "inform(platforms[PC])",
    ),
    ("An attack & more.", "inform(name[A & B])", "inform(name[A & B])", SCRIPT),
    (
        f"A sentence with {SCRIPT}",
        "suggest(name[Doom])",
        "suggest(name[Doom])",
        "recommend(name[Doom], esrb[M (for Mature)])",
    ),
]
SCORE = ScoreSettings(bootstrap_resamples=200, bootstrap_seed=0)


def dataset_settings(**changes) -> DatasetSettings:
    """Section `dataset` for the synthetic sample, but for `changes`."""
    content = {
        "source": "sample",
        "repo": "GEM/viggo",
        "revision": "93e5029f04770d863000dbe491a6a51c3b7fa1ee",
        "path": "data/local",
        "sha256": {"train": None, "validation": None, "test": None},
        "sample": {"train": 10, "validation": 4, "test": 5, "seed": 0},
        "train_share": 1.0,
        "train_share_seed": 0,
    }
    return DatasetSettings.model_validate(content | changes)


MODEL = ModelSettings(
    source="hub",
    repo="mistralai/Mistral-7B-v0.1",
    revision="0" * 40,
    package=None,
    file=None,
    sha256=None,
    path="data/model",
)
GENERATE = decoding_settings()


def write_workspace(folder: Path, rows=ROWS) -> None:
    """Write predictions, metrics and plots into `folder`, which must be the current one."""
    for index, which in ((2, "base"), (3, "tuned")):
        counts = MetricAccumulator()
        for row in rows:
            counts.add(judge(row[0], row[1], row[index]))
        write_metrics(folder / f"metrics/{which}.json", counts.metrics(SCORE))
        write_plot(folder / f"plots/{which}/attributes.csv", counts.by_attribute())
        write_plot(folder / f"plots/{which}/dialogue_acts.csv", counts.dialogue_acts())
        write_jsonl(
            folder / f"predictions/{which}.jsonl",
            (
                {"id": f"row-{number}", "sentence": row[0], "reference": row[1], "prediction": row[index]}
                for number, row in enumerate(rows)
            ),
        )
    robustness = {"examples": 5, "exact_match": 0.4, "exact_match_low": 0.2, "exact_match_high": 0.6}
    write_metrics(
        folder / "metrics/robustness.json", {"unseen_names": robustness, "typing_slips": robustness}
    )
    comparison = compare_base_and_tuned(
        folder / "predictions/base.jsonl", folder / "predictions/tuned.jsonl", SCORE
    )
    write_metrics(folder / "metrics/comparison.json", comparison)
    write_metrics(
        folder / "metrics/model.json",
        {"trainable_parameters": 10, "total_parameters": 1000, "trainable_percent": 1.0},
    )
    write_metrics(folder / "metrics/tokens.json", {})
    write_plot(
        folder / "plots/loss.csv",
        [
            {"step": 10, "train_loss": 2.5, "validation_loss": ""},
            {"step": 20, "train_loss": 0.5, "validation_loss": 0.6},
        ],
    )
    write_plot(
        folder / "plots/token_lengths.csv",
        [
            {"split": "train", "tokens": tokens, "rows": tokens % 7, "max_length": 40}
            for tokens in (8, 16, 24)
        ],
    )

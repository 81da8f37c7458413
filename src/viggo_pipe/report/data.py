"""What the report shows, from the pipeline's outs: summary, what is still wrong, plots, examples."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from viggo_pipe.config.settings.dataset import DatasetSettings
from viggo_pipe.config.settings.generate import GenerateSettings
from viggo_pipe.config.settings.model import ModelSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.metrics_io import read_metrics, read_plot
from viggo_pipe.data.provenance import DataProvenance, data_provenance
from viggo_pipe.evaluation.paired_test import read_pairs
from viggo_pipe.evaluation.scoring import Judgement
from viggo_pipe.evaluation.summary import RobustnessRow, SummaryRow, robustness_rows, summary_rows
from viggo_pipe.meaning.syntax import Slot
from viggo_pipe.report.charts import LengthBin, LossPoint
from viggo_pipe.report.examples import Example, report_examples

_SHOWN_METRICS = {
    "tuned": ("examples",),
    "comparison": ("only_base_right", "only_tuned_right", "mcnemar_p"),
    "model": ("trainable_parameters", "total_parameters", "trainable_percent"),
}
_MOST = 12  # rows of a table of the most frequent mistakes


@dataclass(frozen=True)
class Mistake:
    """Values of one attribute that the tuned model took for others, and how often.

    No text: there is no such slot. An empty value is shown with its attribute, as in `platforms[]`.
    """

    attribute: str
    gold: str
    predicted: str
    count: int


@dataclass(frozen=True)
class ReportData:
    """Everything that the page and the model card show."""

    provenance: DataProvenance
    split: str
    model: str
    summary: list[SummaryRow]
    robustness: list[RobustnessRow]
    metrics: dict[str, dict[str, float | int]]
    error_kinds: list[tuple[str, int]]
    mistakes: list[Mistake]
    confused_acts: list[tuple[str, str, int]]
    losses: list[LossPoint]
    attributes: list[dict[str, float | str]]
    acts: list[str]
    act_counts: dict[tuple[str, str], int]
    token_lengths: list[LengthBin]
    max_length: int
    examples: list[Example]


def read_report_data(
    dataset: DatasetSettings, model: ModelSettings, generate: GenerateSettings
) -> ReportData:
    """Read what the stages before wrote.

    Raises:
        InputError: one of their files is missing or is not theirs.
    """
    try:
        return _read(dataset, model, generate)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(
            f"metrics/ and plots/ are not what the stages write ({error!r}); run `dvc repro -f score`"
        ) from error


def _read(dataset: DatasetSettings, model: ModelSettings, generate: GenerateSettings) -> ReportData:
    metrics = {
        name: read_metrics(f"metrics/{name}.json")
        for name in ("base", "tuned", "comparison", "model", "tokens")
    }
    for name, keys in _SHOWN_METRICS.items():
        for key in keys:
            if not isinstance(metrics[name][key], int | float):
                raise TypeError(f"{key} of metrics/{name}.json is not a number")
    pairs = read_pairs("predictions/base.jsonl", "predictions/tuned.jsonl")
    examples, judgements = [], []
    for example, judgement in report_examples(pairs):
        examples.append(example)
        judgements.append(judgement)
    acts = [(row["actual"], row["predicted"]) for row in read_plot("plots/tuned/dialogue_acts.csv")]
    lengths = read_plot("plots/token_lengths.csv")
    return ReportData(
        provenance=data_provenance(dataset),
        split=generate.split,
        model=model.name,
        summary=summary_rows(metrics["base"], metrics["tuned"]),
        robustness=robustness_rows(read_metrics("metrics/robustness.json")),
        metrics=metrics,
        error_kinds=Counter(
            kind for example in examples for kind in example["tuned"]["errors"]
        ).most_common(),
        mistakes=_mistakes(judgements),
        confused_acts=[
            (actual, predicted, count)
            for (actual, predicted), count in Counter(acts).most_common()
            if actual != predicted
        ],
        losses=[
            LossPoint(
                step=float(row["step"]),
                train_loss=_number(row["train_loss"]),
                validation_loss=_number(row["validation_loss"]),
            )
            for row in read_plot("plots/loss.csv")
        ],
        attributes=_attributes(),
        acts=sorted({act for pair in acts for act in pair}),
        act_counts=Counter(acts),
        token_lengths=[
            LengthBin(split=row["split"], tokens=int(row["tokens"]), rows=int(row["rows"])) for row in lengths
        ],
        max_length=int(lengths[0]["max_length"]),
        examples=examples,
    )


def _mistakes(judgements: Iterable[Judgement]) -> list[Mistake]:
    """The most frequent differences in an attribute's values, in predictions that parse."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for judgement in judgements:
        if judgement.well_formed:
            for attribute in {slot.attribute for slot in judgement.missing + judgement.extra}:
                gold, predicted = (
                    ", ".join(sorted(_shown(slot) for slot in slots if slot.attribute == attribute))
                    for slots in (judgement.missing, judgement.extra)
                )
                counts[attribute, gold, predicted] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Mistake(*values, count) for values, count in ordered[:_MOST]]


def _shown(slot: Slot) -> str:
    return slot.value if slot.value.strip() else f"{slot.attribute}[{slot.value}]"


def _number(text: str) -> float | None:
    return float(text) if text else None


def _attributes() -> list[dict[str, float | str]]:
    """`attribute`, how many the references hold (`gold`), and its F1 in `base` and `tuned`."""
    base = {row["attribute"]: row for row in read_plot("plots/base/attributes.csv")}
    return [
        {
            "attribute": row["attribute"],
            "gold": int(row["gold"]),
            "base": float(base.get(row["attribute"], {}).get("f1", 0.0)),
            "tuned": float(row["f1"]),
        }
        for row in read_plot("plots/tuned/attributes.csv")
    ]

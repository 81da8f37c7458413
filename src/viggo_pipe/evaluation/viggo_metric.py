"""The scorer as an `evaluate.Metric`: Hugging Face's interface, offline, with no code downloaded."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import datasets
import evaluate

from viggo_pipe.config.settings.score import ScoreSettings
from viggo_pipe.evaluation.metrics import MetricAccumulator
from viggo_pipe.evaluation.predictions import read_predictions
from viggo_pipe.evaluation.scoring import judge

_CITATION = (
    "Juraska, Bowden, Walker: ViGGO: A Video Game Corpus for Data-To-Text Generation in Open-Domain "
    "Conversation, INLG 2019 (W19-8623)"
)
_INPUTS = """
Inputs, lists of strings of one length: `predictions` and `references`, meaning representations in ViGGO's
syntax, and `sentences`, the texts that they were generated for. `compute` returns what
`viggo_pipe.evaluation.metrics.MetricAccumulator.metrics` describes.
"""


class ViggoMetric(evaluate.Metric):
    """Scores predicted meaning representations. Add them singly, in batches, or all at once with `compute`.

    evaluate's own `compute` reads every input back into memory. This one judges an example when it is added
    and keeps counts only: memory does not grow with the examples, time is linear in them, and no cache file
    is written.

    Attributes:
        counts: what was added since the last `compute`, for the tables by attribute and by dialogue act.
    """

    def __init__(self, settings: ScoreSettings):
        # The base class makes a folder for the cache file that is never written.
        with tempfile.TemporaryDirectory(prefix="viggo-metric-") as folder:
            super().__init__(cache_dir=folder, seed=settings.bootstrap_seed)
        self.counts = MetricAccumulator()
        self._settings = settings

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description="Scores meaning representations of the ViGGO data set.",
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": text, "references": text, "sentences": text}),
        )

    def __len__(self) -> int:
        return self.counts.examples

    def add(self, *, prediction: str, reference: str, sentences: str) -> None:
        """Judge one example. (evaluate names an extra input alike in `add` and `add_batch`.)

        Raises:
            InputError: the reference is not a meaning representation.
        """
        self.counts.add(judge(sentences, reference, prediction))

    def add_batch(
        self, *, predictions: Sequence[str], references: Sequence[str], sentences: Sequence[str]
    ) -> None:
        """Judge a batch of examples.

        Raises:
            InputError: a reference is not a meaning representation.
            ValueError: the lengths differ.
        """
        for sentence, reference, prediction in zip(sentences, references, predictions, strict=True):
            self.counts.add(judge(sentence, reference, prediction))

    def compute(
        self,
        *,
        predictions: Sequence[str] | None = None,
        references: Sequence[str] | None = None,
        sentences: Sequence[str] | None = None,
    ) -> dict[str, float | int]:
        """The metrics of all that was added, and of these inputs if there are any; then start anew.

        Raises:
            InputError: there is no example, or a reference is not a meaning representation.
            ValueError: the lengths differ.
        """
        predictions, references, sentences = (
            () if column is None else column for column in (predictions, references, sentences)
        )
        self.add_batch(predictions=predictions, references=references, sentences=sentences)
        metrics = self.counts.metrics(self._settings)
        self.counts = MetricAccumulator()
        return metrics


def score_predictions(
    path: str | Path, settings: ScoreSettings
) -> tuple[MetricAccumulator, dict[str, float | int]]:
    """Score the predictions in `path`; return the counts, for tables of them, and the metrics.

    Raises:
        InputError: the file cannot be read, or a reference is not a meaning representation.
    """
    metric = ViggoMetric(settings)
    for row in read_predictions(path):
        metric.add(prediction=row.prediction, reference=row.reference, sentences=row.sentence)
    counts = metric.counts
    return counts, metric.compute()

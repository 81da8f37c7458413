"""The adapter's model card, in the Hub's format: metrics in its metadata block, and what it is in words."""

from huggingface_hub import EvalResult, ModelCardData

from viggo_pipe.config.settings.dataset import DatasetSettings
from viggo_pipe.config.settings.model import ModelSettings
from viggo_pipe.report.data import ReportData
from viggo_pipe.report.render import report_environment

_TASK, _TASK_NAME = "text-generation", "Semantic parsing"
_METRICS = (
    ("exact_match", "Exact match"),
    ("slot_f1", "Slot F1"),
    ("dialogue_act_accuracy", "Dialogue act accuracy"),
)


def render_model_card(data: ReportData, dataset: DatasetSettings, model: ModelSettings) -> str:
    """The card's text. Its figures are named after the data that they were measured on, and by no other name.

    Metadata: https://huggingface.co/docs/hub/model-cards; `base_model` and `datasets` only name what stands
    on the Hub.
    """
    tuned = data.metrics["tuned"]
    metadata = ModelCardData(
        language="en",
        library_name="peft",
        pipeline_tag=_TASK,
        tags=["lora", "semantic-parsing", "data-to-text"],
        base_model=model.repo if model.source == "hub" else None,
        datasets=[dataset.repo] if data.provenance.is_viggo else None,
        model_name="viggo-pipe adapter",
        eval_results=[
            EvalResult(
                task_type=_TASK,
                task_name=_TASK_NAME,
                dataset_type=dataset.repo if data.provenance.is_viggo else "other",
                dataset_name=data.provenance.name,
                dataset_split=data.split,
                metric_type=key,
                metric_name=name,
                metric_value=tuned[key],
            )
            for key, name in _METRICS
        ],
    )
    environment = report_environment(autoescape=False)
    return environment.get_template("model_card.md").render(
        data=data, metadata=metadata.to_yaml(), dataset=dataset
    )

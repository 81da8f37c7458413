"""Whether the base model can be trained and predict as params.yaml says. The stages check the same."""

from typing import Any

from viggo_pipe.augment.robustness_sets import robustness_sets
from viggo_pipe.cli.planning.estimate import Estimate
from viggo_pipe.cli.planning.sources import Sources
from viggo_pipe.decoding.generate import check_prompts
from viggo_pipe.training.lora import add_adapter
from viggo_pipe.training.rows import check_rows, with_something_to_learn


def check_model(estimate: Estimate, sources: Sources) -> str:
    """Check the model of `estimate` against its rows and its adapter, without a weight; what was checked.

    Raises:
        InputError: the model cannot be trained on the rows, cannot have the adapter, or cannot take a prompt.
    """
    params, model, encoder = estimate.params, estimate.model, estimate.encoder
    pad_token_id: Any = sources.tokenizer.pad_token_id
    for directions in estimate.rows.values():
        for rows in directions[: len(estimate.directions)]:
            check_rows(model, with_something_to_learn(rows, params.train), pad_token_id, params.train)
    predicted = sources.splits[params.generate.split]
    sets = robustness_sets(predicted, params.robustness)
    sentences = [row["sentence"] for rows in (predicted, *sets.values()) for row in rows]
    prompts = [encoder.prompt(sentence) for sentence in sentences]
    check_prompts(model, encoder, sentences, prompts, params.generate)
    adapted = add_adapter(model, params.lora, params.train)
    trainable, _ = adapted.get_nb_trainable_parameters()
    longest = max(direction.longest for direction in estimate.directions)
    return (
        f"training: {type(model).__name__} takes rows of {longest:,} tokens and an adapter of {trainable:,} "
        "parameters"
    )

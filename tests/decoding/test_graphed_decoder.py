"""GraphedDecoder against transformers' `generate`. Graphs are recorded only on a GPU."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig

from viggo_pipe.config.settings.dataset import SampleSettings
from viggo_pipe.data.sample import generate_sample
from viggo_pipe.decoding.constraint import Constraint
from viggo_pipe.decoding.graphed_decoder import GraphedDecoder, can_decode
from viggo_pipe.decoding.known_names import KnownNames
from viggo_pipe.tokens.collate import pad

ROWS = generate_sample(SampleSettings(train=40, validation=1, test=37, seed=0))
SENTENCES = [row["sentence"] for row in ROWS["test"]]


@torch.inference_mode()
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("constrained", [False, True])
def test_the_tokens_are_those_of_transformers(tiny_parts, constrained, device):
    """In batches that are halved as rows end: answers end at many lengths, some at none."""
    model, tokenizer, encoder = tiny_parts
    model = copy.deepcopy(model).to(device)
    constraint = Constraint(tokenizer, KnownNames(row["meaning_representation"] for row in ROWS["train"]))
    # Common tokens, so that this random model ends its answers, unconstrained, at many lengths.
    ends = {tokenizer.eos_token_id} if constrained else {tokenizer.eos_token_id, *range(0, 500, 11)}
    decoder = GraphedDecoder(model, 37, 256, tokenizer.pad_token_id)
    for sentences in (SENTENCES, SENTENCES[:5]):
        batch = pad([encoder.prompt(sentence) for sentence in sentences], tokenizer.pad_token_id, "left")
        grammars = [next(constraint.processors([sentences])) if constrained else None for _ in range(2)]
        config = GenerationConfig(
            do_sample=False, max_new_tokens=90, eos_token_id=list(ends), pad_token_id=tokenizer.pad_token_id
        )
        given = {name: tensor.to(device) for name, tensor in batch.items()}
        output = model.generate(
            **given, generation_config=config, logits_processor=[grammars[0]] if constrained else None
        )
        expected = [_until(row, ends) for row in output[:, batch["input_ids"].shape[1] :].tolist()]
        found = decoder.decode(batch["input_ids"], batch["attention_mask"], 90, ends, grammars[1])
        assert found == expected
        assert len({len(row) for row in found}) > 2
        assert len(decoder._steps) > 1 or len(sentences) < 16
        if constrained:
            assert grammars[1].finish(found) == grammars[0].finish(expected)


@torch.inference_mode()
def test_the_model_attends_as_before_when_it_is_done(tiny_parts):
    model, tokenizer, encoder = tiny_parts
    before = model.config._attn_implementation
    batch = pad([encoder.prompt(SENTENCES[0])], tokenizer.pad_token_id, "left")
    GraphedDecoder(model, 1, 128, tokenizer.pad_token_id).decode(
        batch["input_ids"], batch["attention_mask"], 3, {2}
    )
    assert model.config._attn_implementation == before


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, True),
        ({"sliding_window": None}, True),
        ({"sliding_window": 300}, True),
        ({"sliding_window": 299}, False),
        ({"sliding_window": 0}, True),
        ({"layer_types": ["full_attention"] * 2, "sliding_window": 299}, True),
        ({"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 299}, False),
        ({"layer_types": ["full_attention", "linear_attention"]}, False),
        ({"_attn_implementation": "eager"}, False),
    ],
)
def test_models_that_attend_in_another_way_are_left_to_transformers(tiny_parts, settings, expected):
    model = copy.copy(tiny_parts[0])
    model.config = copy.deepcopy(model.config)
    for name, value in settings.items():
        setattr(model.config, name, value)
    assert can_decode(model, 300) is expected
    assert (
        can_decode(get_peft_model(copy.deepcopy(model), LoraConfig(target_modules=["q_proj"])), 300)
        is expected
    )


def _until(row, ends):
    end = next((index for index, token in enumerate(row) if token in ends), len(row) - 1)
    return row[: end + 1]

"""The decoder of fixed buffers against transformers' `generate`; a graph is recorded on a GPU alone."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig
from transformers.cache_utils import StaticLayer

from viggo_pipe.collation import pad
from viggo_pipe.constrained_decoding import Constraint
from viggo_pipe.decoding import GraphedDecoder, _grouped_attention, _stack_buffers, can_decode
from viggo_pipe.lexicon import Lexicon
from viggo_pipe.sample import generate_sample
from viggo_pipe.settings.dataset import SampleSettings

ROWS = generate_sample(SampleSettings(train=40, validation=1, test=37, seed=0))
SENTENCES = [row["sentence"] for row in ROWS["test"]]


@torch.inference_mode()
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("constrained", [False, True])
def test_the_tokens_are_those_of_transformers(tiny_parts, constrained, device):
    """In batches that are halved as rows end: answers end at many lengths, some at none."""
    model, tokenizer, encoder = tiny_parts
    model = copy.deepcopy(model).to(device)
    constraint = Constraint(tokenizer, Lexicon(row["meaning_representation"] for row in ROWS["train"]))
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
        output = model.generate(**given, generation_config=config, logits_processor=[grammars[0]] if constrained else None)
        expected = [_until(row, ends) for row in output[:, batch["input_ids"].shape[1] :].tolist()]
        found = decoder.decode(batch["input_ids"], batch["attention_mask"], 90, ends, grammars[1])
        assert found == expected
        assert len({len(row) for row in found}) > 2
        if constrained:
            assert grammars[1].finish(found) == grammars[0].finish(expected)


@torch.inference_mode()
@pytest.mark.parametrize(("rows", "sizes"), [(37, [9, 18, 37]), (20, [9, 18, 37]), (18, [9, 18]), (1, [9])])
def test_steps_of_all_sizes_are_made_before_a_batch_needs_them(tiny_parts, rows, sizes):
    model, tokenizer, encoder = tiny_parts
    decoder = GraphedDecoder(model, 37, 256, tokenizer.pad_token_id)
    batch = pad([encoder.prompt(sentence) for sentence in SENTENCES[:rows]], tokenizer.pad_token_id, "left")
    decoder.decode(batch["input_ids"], batch["attention_mask"], 1, {tokenizer.eos_token_id})
    assert sorted(decoder._steps) == sizes


@torch.inference_mode()
def test_the_model_attends_as_before_when_it_is_done(tiny_parts):
    model, tokenizer, encoder = tiny_parts
    before = model.config._attn_implementation
    batch = pad([encoder.prompt(SENTENCES[0])], tokenizer.pad_token_id, "left")
    GraphedDecoder(model, 1, 128, tokenizer.pad_token_id).decode(batch["input_ids"], batch["attention_mask"], 3, {2})
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
    assert can_decode(get_peft_model(copy.deepcopy(model), LoraConfig(target_modules=["q_proj"])), 300) is expected


@pytest.mark.parametrize("tokens", [1, 3])
def test_values_can_be_narrower_than_keys(tokens):
    query, keys, values = torch.rand((2, 4, tokens, 6)), torch.rand((2, 2, 5, 6)), torch.rand((2, 2, 5, 3))
    mask = torch.zeros((2, 1, tokens, 5))
    module = torch.nn.Module()
    module.num_key_value_groups = 2
    found, _ = _grouped_attention(module, query, keys, values, mask, scaling=0.5)
    repeated = (one.repeat_interleave(2, 1) for one in (keys, values))
    expected = torch.nn.functional.scaled_dot_product_attention(query, *repeated, mask, scale=0.5)
    torch.testing.assert_close(found, expected.transpose(1, 2))


def test_layers_alike_keep_their_tokens_in_one_tensor():
    """In some models not all layers are of one shape."""
    layers = [StaticLayer(max_cache_len=5) for _ in range(4)]
    given = [torch.rand((3, 2, 2, size)) for size in (4, 6, 4)] + [torch.rand((3, 2, 2, 4), dtype=torch.float16)]
    for layer, states in zip(layers, given, strict=True):
        layer.update(states, -states)
    stacks = _stack_buffers(layers, "keys")
    assert [stack.shape for stack in stacks] == [(2, 3, 2, 5, 4), (1, 3, 2, 5, 6), (1, 3, 2, 5, 4)]
    assert torch.equal(stacks[0][1][:, :, :2], given[2])
    for layer, states in zip(layers, given, strict=True):
        layer.update(states, -states)
    assert torch.equal(stacks[0][1][:, :, 2:4], given[2])
    assert torch.equal(stacks[1][0][:, :, 2:4], given[1])
    assert torch.equal(stacks[2][0][:, :, 2:4], given[3])


def _until(row, ends):
    end = next((index for index, token in enumerate(row) if token in ends), len(row) - 1)
    return row[: end + 1]

import copy

import pytest
import torch
from helpers.decoding_settings import decoding_settings
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig

from viggo_pipe.decoding import greedy
from viggo_pipe.models.architecture import base_of


class OnGpu:
    """A model with another configuration, on a GPU that need not be there."""

    device = torch.device("cuda")

    def __init__(self, model, config):
        self._model, self.config = model, config

    def __getattr__(self, name):
        return getattr(self._model, name)


@pytest.mark.parametrize("window", [None, 8])
def test_on_a_gpu_too_transformers_decodes_what_the_graphs_cannot(tiny_parts, monkeypatch, capsys, window):
    made = []
    monkeypatch.setattr(greedy, "GraphedDecoder", lambda *given: made.append(given))
    config = copy.deepcopy(tiny_parts[0].config)
    config.sliding_window = window
    model = OnGpu(tiny_parts[0], config)
    greedy.greedy_decoder(model, tiny_parts[1], decoding_settings(cuda_graph=True, max_new_tokens=10), 20)
    assert len(made) == (window is None)
    said = (
        "generate.cuda_graph: steps are not recorded, for this model's attention is not sdpa's over 34 "
        "tokens\n"
    )
    assert capsys.readouterr().err == ("" if window is None else said)


# Each changed or broke this model's greedy answers, as `generate` filled it in.
@pytest.mark.parametrize(
    "given",
    [
        {"repetition_penalty": 5.0},
        {"no_repeat_ngram_size": 1},
        {"bad_words_ids": [[token] for token in range(3, 300)]},
        {"suppress_tokens": list(range(3, 300))},
        {"begin_suppress_tokens": list(range(3, 300))},
        {"forced_eos_token_id": 2},
        {"num_beams": 3},
        {"exponential_decay_length_penalty": (1, 9.0)},
        {"return_dict_in_generate": True},
        {"stop_strings": ["a"]},
        {"num_return_sequences": 2, "num_beams": 2},
    ],
    ids=lambda given: next(iter(given)),
)
@pytest.mark.parametrize("adapted", [False, True])
def test_what_the_model_came_with_decides_nothing(tiny_parts, given, adapted):
    model, tokenizer, encoder = tiny_parts
    model = copy.deepcopy(model)
    prompts = [encoder.prompt(text) for text in ("Portal 2 is a good game.", "Do you like it?")]
    settings = decoding_settings(max_new_tokens=12)
    expected = greedy.greedy_decoder(model, tokenizer, settings, 60)(prompts, None)
    assert len(expected[0]) == 12  # no end on the way
    if adapted:
        model = get_peft_model(model, LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    base_of(model).generation_config = GenerationConfig(**given, pad_token_id=2, eos_token_id=[1, 2])
    assert greedy.greedy_decoder(model, tokenizer, settings, 60)(prompts, None) == expected

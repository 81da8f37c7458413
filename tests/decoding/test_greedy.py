import copy
from types import SimpleNamespace

import pytest
import torch
from helpers.decoding_settings import decoding_settings

from viggo_pipe.decoding import greedy


@pytest.mark.parametrize("window", [None, 8])
def test_on_a_gpu_too_transformers_decodes_what_the_graphs_cannot(tiny_parts, monkeypatch, capsys, window):
    made = []
    monkeypatch.setattr(greedy, "GraphedDecoder", lambda *given: made.append(given))
    config = copy.deepcopy(tiny_parts[0].config)
    config.sliding_window = window
    model = SimpleNamespace(config=config, device=torch.device("cuda"))
    greedy.greedy_decoder(model, tiny_parts[1], decoding_settings(cuda_graph=True, max_new_tokens=10), 20)
    assert len(made) == (window is None)
    said = (
        "generate.cuda_graph: steps are not recorded, for this model's attention is not sdpa's over 34 "
        "tokens\n"
    )
    assert capsys.readouterr().err == ("" if window is None else said)

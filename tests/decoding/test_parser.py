"""Parser, until it loads the model. Stages and `viggo parse` are tested with a model elsewhere."""

import pytest
from helpers.imports import ROOT

from viggo_pipe.config.profiles import load_profile
from viggo_pipe.config.settings.dataset import SampleSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.core.jsonl import write_jsonl
from viggo_pipe.data.sample import generate_sample
from viggo_pipe.decoding import parser
from viggo_pipe.decoding.constraint import Constraint
from viggo_pipe.models.base_model import BaseCheckpoint


@pytest.fixture
def params(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_jsonl(
        parser.TRAINING_ROWS,
        generate_sample(SampleSettings(train=5, validation=1, test=1, seed=0))["train"],
    )
    monkeypatch.setattr(parser, "find_base_model", lambda settings: BaseCheckpoint(tiny_folder, "tiny", None))
    return load_profile(ROOT / "profiles/quickstart.yaml")


def test_grammars_are_compiled_from_before_the_model_is_loaded_on_and_not_after_an_error(params, monkeypatch):
    compiled, compile_grammars = [], Constraint._compile

    def recorded(self, sentences):
        compiled.append((self, list(sentences)))
        return compile_grammars(self, sentences)

    def load_model(base, settings):
        assert [sentences for _, sentences in compiled] == [["Hm."]]
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(Constraint, "_compile", recorded)
    monkeypatch.setattr(parser, "load_model", load_model)
    with pytest.raises(InputError, match=r"out of memory \(CUDA out of memory\): lower generate.batch_size"):
        parser.Parser(params, ["Hm."])
    with pytest.raises(RuntimeError, match="after shutdown"):
        compiled[0][0].processors([["Hm."]])


def test_a_channel_weight_without_a_reverse_adapter_is_refused_before_anything_is_loaded(
    params, tmp_path, monkeypatch
):
    (tmp_path / "prompt.json").write_text('{"template": "{sentence}"}')
    monkeypatch.setattr(parser, "find_base_model", None)
    generate = params.generate.model_copy(update={"rerank": 0.1, "channel_weight": 0.2})
    with pytest.raises(InputError, match=r"channel_weight needs .* and this one was not"):
        parser.Parser(params.model_copy(update={"generate": generate}), ["Hm."], tmp_path)

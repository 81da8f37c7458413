"""Parser, up to where the model is loaded; stages and `viggo parse` are tested with a model elsewhere."""

import pytest
from imports import ROOT

from viggo_pipe import inference
from viggo_pipe.base_model import BaseModel
from viggo_pipe.constrained_decoding import Constraint
from viggo_pipe.errors import InputError
from viggo_pipe.jsonl import write_jsonl
from viggo_pipe.params import load_params
from viggo_pipe.sample import generate_sample
from viggo_pipe.settings.dataset import SampleSettings


@pytest.fixture
def params(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_jsonl(inference.TRAINING_ROWS, generate_sample(SampleSettings(train=5, validation=1, test=1, seed=0))["train"])
    monkeypatch.setattr(inference, "find_base_model", lambda settings: BaseModel(tiny_folder, "tiny", None))
    return load_params("model", "quantize", "prompt", "generate", path=ROOT / "profiles/quickstart.yaml")


def test_grammars_are_compiled_from_before_the_model_is_loaded_on_and_not_after_an_error(params, monkeypatch):
    asked, compiling = [], Constraint._compiling

    def recorded(self, sentences):
        asked.append((self, list(sentences)))
        return compiling(self, sentences)

    def load_model(base, settings):
        assert [sentences for _, sentences in asked] == [["Hm."]]
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(Constraint, "_compiling", recorded)
    monkeypatch.setattr(inference, "load_model", load_model)
    with pytest.raises(InputError, match=r"memory does not suffice \(CUDA out of memory\): lower generate.batch_size"):
        inference.Parser(params, ["Hm."])
    with pytest.raises(RuntimeError, match="after shutdown"):
        asked[0][0].processors([["Hm."]])


def test_an_adapter_of_one_direction_is_refused_before_anything_is_loaded(params, tmp_path, monkeypatch):
    (tmp_path / "prompt.json").write_text('{"template": "{sentence}"}')
    monkeypatch.setattr(inference, "find_base_model", None)
    params.generate = params.generate.model_copy(update={"alternatives": 0.1, "reverse_weight": 0.2})
    with pytest.raises(InputError, match=r"reverse_weight needs .* and this one was not"):
        inference.Parser(params, ["Hm."], tmp_path)

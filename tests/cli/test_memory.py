"""The reckoning of memory against what was measured at Mistral-7B's size: random weights of its shape, NF4,
on one H100.

Reserved by torch, in GB. Those of packs and of prediction were measured on 2026-11-24, with layers that
compute norms and activations again; no run with its versions is committed, and the formulas were fitted to
them. The packs are of 512 tokens, of which about 300 are learnt at most (283 of ViGGO's, by Mistral's
tokenizer); the others are plain rows.
"""

import pytest
from helpers.imports import ROOT
from mistral_shape import CONFIG

from viggo_pipe.cli.planning.memory import (
    evaluation_memory,
    generation_memory,
    graph_memory,
    training_memory,
)
from viggo_pipe.cli.planning.shape import adapter_parameters, shape_of
from viggo_pipe.config.profiles import load_profile
from viggo_pipe.core.errors import InputError
from viggo_pipe.models.architecture import empty_model
from viggo_pipe.models.base_model import BaseCheckpoint

GB = 1e9
PARAMS = load_profile(ROOT / "profiles/mistral-7b.yaml")
WITHIN = 0.08


@pytest.fixture(scope="module")
def mistral(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistral")
    CONFIG.save_pretrained(folder)
    return shape_of(empty_model(BaseCheckpoint(folder, "mistral", None)))


def test_the_shape_is_the_models(mistral):
    assert mistral.parameters == 7_241_732_096 and mistral.layers == 32 and mistral.vocabulary == 32_000
    assert mistral.quantized == 6_979_321_856
    assert (
        adapter_parameters(mistral, PARAMS.lora) == 41_943_040
    )  # rank 16 on all linear layers, as peft counts it


@pytest.mark.parametrize(("rows", "measured"), [(32, 60.1), (6, 16.1), (4, 12.5)])
def test_packed_and_compiled_training(mistral, rows, measured):
    found = training_memory(
        mistral, PARAMS.quantize, PARAMS.lora, PARAMS.train, rows * 512, rows * 300, compiled=True
    )
    assert found / GB == pytest.approx(measured, rel=WITHIN)


def test_a_cuda_graph(mistral):
    """4 packs, accumulated over 8 batches: 12.4 GB without a graph and 12.9 with one, in a later
    measurement.
    """
    without, graphed = (
        training_memory(
            mistral,
            PARAMS.quantize,
            PARAMS.lora,
            PARAMS.train,
            4 * 512,
            4 * 300,
            compiled=True,
            graphed=graph,
        )
        for graph in (False, True)
    )
    assert graphed / GB == pytest.approx(12.9, rel=WITHIN)
    assert (graphed - without) / GB == pytest.approx(12.9 - 12.4, abs=0.1)  # of figures with one decimal each


@pytest.mark.parametrize(
    ("tokens", "labels", "dropout", "checkpointing", "compiled", "measured"),
    [
        (6 * 1024, 3 * 1024, 0.0, False, False, 42.0),
        (64 * 96, 64 * 96, 0.05, False, False, 76.5),
        (64 * 96, 64 * 96, 0.05, True, False, 11.2),
        (128, 128, 0.05, True, False, 5.3),
        (16 * 1024, 8 * 1024, 0.0, True, True, 13.7),
    ],
)
def test_plain_training(mistral, tokens, labels, dropout, checkpointing, compiled, measured):
    train = PARAMS.train.model_copy(update={"fuse_lora": False, "gradient_checkpointing": checkpointing})
    lora = PARAMS.lora.model_copy(update={"lora_dropout": dropout})
    found = training_memory(mistral, PARAMS.quantize, lora, train, tokens, labels, compiled)
    assert found / GB == pytest.approx(measured, rel=WITHIN)


@pytest.mark.parametrize(("dequantize", "measured"), [(False, 30.3), (True, 39.0)])
def test_prediction(mistral, dequantize, measured):
    generate = PARAMS.generate.model_copy(update={"batch_size": 256, "dequantize": dequantize})
    assert generation_memory(mistral, PARAMS.quantize, generate, 128) / GB == pytest.approx(
        measured, rel=WITHIN
    )


@pytest.mark.parametrize(
    ("card", "batch_size", "accumulation", "rows"),
    [(24, 8, 4, 128), (16, 4, 8, 64), (80, 32, 1, 256)],
)
def test_the_profile_and_what_its_comment_names_fit(mistral, card, batch_size, accumulation, rows):
    text = (ROOT / "profiles/mistral-7b.yaml").read_text(encoding="utf-8")
    assert (
        f"{card} GB: per_device_train_batch_size {batch_size}, gradient_accumulation_steps {accumulation}; "
        f"generate.batch_size {rows}" in text
    )
    if card == 24:
        assert (PARAMS.train.per_device_train_batch_size, PARAMS.train.gradient_accumulation_steps) == (
            batch_size,
            accumulation,
        )
        assert PARAMS.generate.batch_size == rows
    room = card * GB - 0.6e9
    given, sizes = (mistral, PARAMS.quantize, PARAMS.lora, PARAMS.train), (batch_size * 512, batch_size * 300)
    assert PARAMS.train.cuda_graph and training_memory(*given, *sizes, compiled=True, graphed=True) < room
    held, evaluated = graph_memory(*given, *sizes, compiled=True), PARAMS.train.per_device_eval_batch_size
    assert evaluation_memory(*given, evaluated * 512, evaluated * 300, held) < room
    generate = PARAMS.generate.model_copy(update={"batch_size": rows})
    assert generation_memory(mistral, PARAMS.quantize, generate, 128) < room


def test_what_each_setting_saves(mistral):
    def training(quantize=PARAMS.quantize, lora=PARAMS.lora, tokens=4096, **train):
        return training_memory(
            mistral, quantize, lora, PARAMS.train.model_copy(update=train), tokens, 1024, compiled=False
        )

    whole = training()
    assert training(lora=PARAMS.lora.model_copy(update={"upper_layers": 16})) < whole
    assert training(gradient_checkpointing=True) < whole and training(tokens=2048) < whole
    assert training(optim="paged_adamw_8bit") < whole
    assert training(quantize=PARAMS.quantize.model_copy(update={"bits": 16}), fuse_lora=False) > whole


def test_an_evaluation_keeps_nothing_for_a_backward_pass(mistral):
    def evaluation(rows, **train):
        settings = PARAMS.train.model_copy(update=train)
        return evaluation_memory(mistral, PARAMS.quantize, PARAMS.lora, settings, rows * 512, rows * 300)

    training = training_memory(
        mistral, PARAMS.quantize, PARAMS.lora, PARAMS.train, 8 * 512, 8 * 300, compiled=True
    )
    assert evaluation(8) < training < evaluation(512)
    assert evaluation(8, gradient_checkpointing=True) == evaluation(8)


def test_only_4_bit_weights_are_expanded(mistral):
    generate = PARAMS.generate.model_copy(update={"dequantize": True})
    for bits, grows in ((4, True), (16, False), (32, False)):
        quantize = PARAMS.quantize.model_copy(update={"bits": bits})
        kept = generation_memory(
            mistral, quantize, PARAMS.generate.model_copy(update={"dequantize": False}), 128
        )
        assert (generation_memory(mistral, quantize, generate, 128) > kept) == grows


def test_a_folder_without_a_configuration_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot make out the model's shape"):
        empty_model(BaseCheckpoint(tmp_path, "none", None))

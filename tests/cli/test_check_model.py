"""What `viggo check` passes can be trained and predicts; what cannot is one line from it."""

import pytest
from helpers.architectures import tiny_causal_lm, tiny_config
from helpers.project import Project
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, Gemma3Config, Gemma3ForConditionalGeneration, PreTrainedTokenizerFast
from transformers.utils import logging

from viggo_pipe.cli.main import main

ALL = {"target_modules": "all-linear", "upper_layers": None}
PACKED = {"pack_length": 256, "train_sampling_strategy": "random"}
NF4 = {"quantize": {"bits": 4}}
STAGES = ("fetch_dataset.py", "tokenize_dataset.py", "train_lora.py", "predict.py base", "predict.py tuned")


@pytest.fixture
def project(tmp_path, monkeypatch):
    project = Project(tmp_path / "project")
    project.set(
        dataset={"sample": {"train": 8, "validation": 2, "test": 3, "seed": 0}},
        model={"source": "local", "path": str(tmp_path / "model"), "sha256": None},
        tokenize={"max_length": 256},
        quantize={"bits": 32},
        lora={"r": 2, **ALL},
        train={"max_steps": 2, "num_train_epochs": None},
        generate={"max_new_tokens": 4, "batch_size": 2},
        robustness={"rows": 1},
    )
    monkeypatch.chdir(project.folder)
    return project


@pytest.fixture
def write_model(tmp_path, tiny_folder):
    """Writes a tiny model of an architecture, with a tokenizer that every model may have."""

    logging.disable_progress_bar()  # it would stand among the lines that tests read

    def write(name, tokenizer=None, **given):
        tokenizer = tokenizer or AutoTokenizer.from_pretrained(tiny_folder)
        tokenizer.save_pretrained(tmp_path / "model")
        given = {"vocab_size": 500, "max_position_embeddings": 256} | given
        if name == "gemma4_text":
            given["vocab_size_per_layer_input"] = 500
        tiny_causal_lm(name, **given).save_pretrained(tmp_path / "model")

    return write


def stages_end(project, monkeypatch):
    """The exit statuses of the stages, until one is not 0."""
    for call in STAGES:
        status = project.run(monkeypatch, *call.split())
        yield status
        if status:
            return


def refusal(capsys):
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("gpt2", {}),
        ("gpt2", {"train": PACKED, **NF4}),
        ("gpt2", {"lora": {"target_modules": ["c_attn"], "upper_layers": 1}}),
        ("gpt_neo", {}),
        ("gptj", {}),
        ("opt", {}),
        ("bloom", {}),
        ("mpt", {}),
        ("falcon", NF4),
        ("falcon, alibi", {}),
        ("gpt_neox", {"train": {"gradient_checkpointing": True}}),
        ("gemma2", {"train": PACKED}),
        ("gemma3_text", {"train": PACKED}),
        ("gemma4_text", {}),
        ("phi3", NF4),
        ("qwen2_moe", {"train": PACKED}),
        ("gpt_oss", {}),
        ("mixtral, routers", {}),
        ("mamba2", {"lora": {"target_modules": ["in_proj"], "upper_layers": 2}}),
        ("lfm2", {}),
        ("qwen3_5_text", NF4),
        ("deepseek_v3", {}),
    ],
)
def test_what_passes_is_trained_and_predicts(project, write_model, monkeypatch, capsys, name, changes):
    write_model(name)
    project.set(**changes)
    assert main(["check"]) == 0, capsys.readouterr().err
    assert list(stages_end(project, monkeypatch)) == [0] * len(STAGES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (
            "qwen3_5_text",
            {"train": PACKED},
            "train.pack_length: rows of a pack cannot be kept apart in Qwen3_5",
        ),
        ("mistral, short windows", {"train": PACKED}, "its tokens see 16 tokens at most"),
        ("bloom", {"train": PACKED}, "train.pack_length: "),
        (
            "gpt2",
            {"lora": {"target_modules": ["q_proj"]}},
            "lora.target_modules: the base model has no module",
        ),
        ("gpt2", {"lora": {"target_modules": ["c_attn"], "upper_layers": 5}}, "lora.upper_layers is 5"),
        ("llama4_text", {}, "router is a Llama4Router, which LoRA cannot adapt"),
        ("mamba", {}, "lora.target_modules 'all-linear': "),
        ("ctrl", {"train": {"gradient_checkpointing": True}}, "train.gradient_checkpointing: CTRL"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_check_and_training(
    project, write_model, monkeypatch, capsys, name, changes, words
):
    write_model(name)
    project.set(**changes)
    assert main(["check"]) == 2
    said = refusal(capsys)
    assert words in said
    assert list(stages_end(project, monkeypatch)) == [0, 0, 2]
    assert refusal(capsys).partition(": ")[2] == said.partition(": ")[2]


def test_a_multimodal_model_is_refused(project, write_model, monkeypatch, capsys, tmp_path):
    write_model("gemma3_text", num_key_value_heads=4)
    text = tiny_config("gemma3_text", vocab_size=500).to_dict()
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Gemma3Config(text_config=text, vision_config={**vision, "image_size": 28, "patch_size": 14})
    Gemma3ForConditionalGeneration(config).save_pretrained(tmp_path / "model")
    assert main(["check"]) == 2
    said = refusal(capsys)
    assert "Gemma3ForConditionalGeneration has more parts than its language model" in said
    assert list(stages_end(project, monkeypatch)) == [0, 0, 2]
    assert refusal(capsys).partition(": ")[2] == said.partition(": ")[2]


@pytest.mark.parametrize("packed", [{}, PACKED])
def test_rows_of_more_tokens_than_positions_are_refused(project, write_model, monkeypatch, capsys, packed):
    write_model("gpt2", max_position_embeddings=64)
    project.set(train=packed)
    assert main(["check"]) == 2
    said = refusal(capsys)
    assert "tokens, padding included, over the 64 that GPT2LMHeadModel takes" in said
    assert list(stages_end(project, monkeypatch)) == [0, 0, 2]
    assert refusal(capsys).partition(": ")[2] == said.partition(": ")[2]


@pytest.mark.slow
def test_padding_counts_where_positions_are_counted(project, write_model, monkeypatch, capsys):
    """Rows of a batch are padded to a multiple of 8 tokens, each of which takes a position."""
    write_model("gpt2", max_position_embeddings=102)  # the longest row's
    assert main(["check"]) == 2
    assert "has 104 tokens, padding included, over the 102" in refusal(capsys)
    project.set(train=PACKED)
    assert main(["check"]) == 0
    assert list(stages_end(project, monkeypatch)) == [0] * len(STAGES)


@pytest.mark.slow
def test_answers_that_would_run_out_of_positions_are_refused(project, write_model, monkeypatch, capsys):
    write_model("gpt2", max_position_embeddings=104)
    project.set(generate={"max_new_tokens": 90})
    assert main(["check"]) == 2
    said = refusal(capsys)
    assert "generate.max_new_tokens 90 that is over the 104" in said
    assert [*stages_end(project, monkeypatch)][2:] == [0, 2]


def test_a_token_without_an_embedding_is_refused(project, write_model, tiny_folder, monkeypatch, capsys):
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    write_model("llama", tokenizer)
    assert main(["check"]) == 2
    said = refusal(capsys)
    assert "has a token 500, but the model has embeddings of 500 tokens" in said
    assert list(stages_end(project, monkeypatch)) == [0, 0, 2]
    assert refusal(capsys).partition(": ")[2] == said.partition(": ")[2]
    assert project.run(monkeypatch, "predict.py", "base") == 2
    assert "has a token 500" in refusal(capsys)


def test_a_token_that_is_never_used_needs_no_embedding(project, write_model, tiny_folder, capsys):
    """As Gemma-3's token for images, in a model of text."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    write_model("llama", tokenizer)
    assert main(["check"]) == 0, capsys.readouterr().err


def word_pieces():
    core = Tokenizer(
        models.WordPiece({"[UNK]": 0, "</s>": 1, "[PAD]": 2, "a": 3, "##a": 4}, unk_token="[UNK]")
    )
    core.pre_tokenizer, core.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece()
    return core


def unigrams():
    pieces = [
        ("[UNK]", 0.0),
        ("</s>", 0.0),
        ("[PAD]", 0.0),
        ("\u2581", -1.0),
        *((chr(code), -2.0) for code in range(33, 127)),
    ]
    core = Tokenizer(models.Unigram(pieces, unk_id=0))
    core.pre_tokenizer, core.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return core


@pytest.mark.slow
@pytest.mark.parametrize("make", [word_pieces, unigrams])
def test_a_tokenizer_without_grammars_is_refused(project, write_model, monkeypatch, capsys, make):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=make(), unk_token="[UNK]", eos_token="</s>", pad_token="[PAD]"
    )
    write_model("llama", tokenizer, max_position_embeddings=1024)
    project.set(tokenize={"max_length": 512})
    assert main(["check"]) == 2
    said = refusal(capsys)
    assert "generate.constrain: llguidance cannot read" in said and "set it to false" in said
    assert list(stages_end(project, monkeypatch)) == [0, 0, 0, 2]
    assert refusal(capsys).partition(": ")[2] == said.partition(": ")[2]
    project.set(generate={"constrain": False})
    assert main(["check"]) == 0, capsys.readouterr().err
    assert project.run(monkeypatch, "predict.py", "base") == 0


def test_dropout_is_refused_where_lora_is_fused(project, write_model, capsys):
    write_model("llama")
    project.set(lora={"lora_dropout": 0.1}, train={"fuse_lora": True}, **NF4)
    assert main(["check"]) == 2
    assert "train.fuse_lora cannot have dropout: set lora.lora_dropout to 0" in refusal(capsys)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "modules", "kept"),
    [("falcon", "all-linear", "query_key_value"), ("llama", ["q_proj", "lm_head"], "lm_head")],
)
def test_lora_is_fused_with_weights_in_nf4_alone(
    project, write_model, monkeypatch, capsys, name, modules, kept
):
    write_model(name)
    project.set(lora={"target_modules": modules}, train={"fuse_lora": True}, **NF4)
    assert main(["check"]) == 2
    said = refusal(capsys)
    assert "train.fuse_lora needs weights in NF4, but " in said and kept in said
    assert list(stages_end(project, monkeypatch)) == [0, 0, 2]
    assert "train.fuse_lora needs weights in NF4" in refusal(capsys)
    project.set(
        lora={"target_modules": ["q_proj"] if name == "llama" else modules},
        train={"fuse_lora": name == "llama"},
    )
    assert main(["check"]) == 0, capsys.readouterr().err
    assert list(stages_end(project, monkeypatch)) == [0] * len(STAGES)

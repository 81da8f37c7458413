"""Each causal architecture of transformers is computed here as it computes a row alone, or is refused."""

import pytest
import torch
from helpers.architectures import VARIANTS, VOCABULARY, tiny_causal_lm
from peft import LoraConfig, get_peft_model
from torch.nn import Linear
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.pytorch_utils import Conv1D

from viggo_pipe.core.errors import InputError
from viggo_pipe.decoding.graphed_decoder import GraphedDecoder, can_decode
from viggo_pipe.models.architecture import _NO_CAUSAL_LM, check_causal_lm, without_router_loss
from viggo_pipe.models.base_model import BaseCheckpoint
from viggo_pipe.tokens.collate import CausalCollator, pad, padded_length
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.tokens.prompt import Example
from viggo_pipe.training.packed_attention import check_packing, take_packs
from viggo_pipe.training.packing import PackCollator, pack_rows

BASE = BaseCheckpoint("folder", "base", None)
LENGTHS = (13, 29, 20, 5, 17)
ANSWER = 3  # where answers begin
NEW = 6  # tokens of an answer
END = VOCABULARY - 1
# Not built small, or too slow: not tried.
UNTRIED = {
    *(
        "bailing_hybrid",
        "cohere_compass_text",
        "dbrx",
        "dots3_note",
        "dots3_note_text",
        "emu3",
        "gemma4_assistant",
        "kimi_linear",
    ),
    *("gemma4_unified_assistant", "inkling2_text", "inkling_text", "longcat_flash", "minimax_m3_vl_text"),
    *("mllama", "nemotron_h", "phi4_multimodal", "qwen4_exp", "qwen4_exp_text", "zamba", "zamba2", "zaya"),
}
FAST = ("granite, scaled", "gemma3_text, short windows", "qwen3_5_text")
PACKED = {
    *(
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
        "qwen2_moe",
        "qwen3_moe",
        "gemma",
        "gemma2",
        "gemma2, no windows",
    ),
    *("gemma3_text", "phi", "phi3", "granite", "granite, scaled", "granitemoe", "olmo", "olmo2", "smollm3"),
    *("cohere", "cohere2", "gpt2", "gpt_neox", "starcoder2", "mixtral", "gpt_oss", "glm", "glm4"),
    *("deepseek_v3", "nemotron", "helium"),
}
NOT_PACKED = {
    *("bloom", "mpt", "mamba", "mamba2", "recurrent_gemma", "jamba", "lfm2", "falcon_h1", "qwen3_next"),
    *("qwen3_5_text", "falcon, alibi", "gpt_oss, short windows"),
    *("gemma3_text, short windows", "mistral, short windows", "phi3, short windows"),
    *("cohere2, short windows", "llama4_text, short chunks", "gpt_neo, short windows"),
}


def names():
    for name in (*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *VARIANTS):
        if name not in UNTRIED | _NO_CAUSAL_LM:
            yield pytest.param(name, marks=() if name in FAST else pytest.mark.slow)


@pytest.fixture(scope="module")
def rows():
    generator = torch.Generator().manual_seed(5)
    ids = [torch.randint(3, END, (length,), generator=generator).tolist() for length in LENGTHS]
    return [Example(input_ids=row, answer_start=ANSWER) for row in ids]


@pytest.mark.parametrize("name", list(names()))
def test_it_is_computed_as_it_computes_a_row_alone_or_is_refused(name, rows):
    model = tiny_causal_lm(name)
    try:
        check_causal_lm(model, BASE)
    except InputError:
        assert name not in PACKED | NOT_PACKED
        return
    without_router_loss(model)
    answers = answers_alone(model, rows)
    with torch.inference_mode():
        assert batched(model, rows) == answers
        length = padded_length(max(LENGTHS)) + NEW
        if can_decode(model, length):
            batch = pad([row["input_ids"] for row in rows], 0, "left")
            decoder = GraphedDecoder(model, len(rows), length, 0)
            assert decoder.decode(batch["input_ids"], batch["attention_mask"], NEW, [END]) == answers
    model = get_peft_model(
        model,
        LoraConfig(r=2, target_modules=linear(model), init_lora_weights=False, task_type="CAUSAL_LM"),
    )
    alone = loss_and_gradients(model, [single(row) for row in rows])
    assert_like(loss_and_gradients(model, [CausalCollator(0, True)(rows)]), alone)
    try:
        check_packing(model.get_base_model(), max(LENGTHS))
    except InputError as error:
        assert "train.pack_length" in str(error) and "set it to null" in str(error)
        assert name not in PACKED
        return
    assert name not in NOT_PACKED
    packs = pack_rows(TokenRows.of_examples(rows), 64, seed=0)
    assert packs.most_rows > 1
    take_packs(model, max(LENGTHS))
    packed = loss_and_gradients(model, [PackCollator([packs], 0, 64, True)(list(packs))])
    assert_like(packed, alone)


@pytest.mark.parametrize("name", ["bert", "bart", "rwkv", "gemma3"])
def test_what_is_no_causal_language_model_is_refused(name):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name))
    with pytest.raises(InputError, match=r"base: \w+ (is no causal|has more parts than its) language model"):
        check_causal_lm(model, BASE)


def single(row):
    ids = torch.tensor([row["input_ids"]])
    labels = ids.clone()
    labels[:, :ANSWER] = -100
    return {"input_ids": ids, "labels": labels}


def linear(model):
    """The names of linear layers, without those that peft refuses in Mamba."""
    modules = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, Linear | Conv1D)
        and module is not model.get_output_embeddings()
        and "Router" not in type(module).__name__
    }
    return sorted(name for name in modules - {"out_proj", "embed_out"} if not name.isdigit())


def assert_like(found, expected):
    """By each gradient's norm: sums in another order leave differences in small numbers."""
    (loss, gradients), (expected_loss, expected_gradients) = found, expected
    torch.testing.assert_close(loss, expected_loss, atol=0, rtol=3e-6)
    largest = max(gradient.norm() for gradient in expected_gradients.values())
    for name, gradient in expected_gradients.items():
        difference = (gradients[name] - gradient).norm()
        assert difference <= 1e-3 * gradient.norm() + 1e-5 * largest, name


def loss_and_gradients(model, batches):
    """Of the sum over the tokens that are learnt."""
    model.zero_grad()
    total = 0
    for batch in batches:
        batch = {**batch}
        learnt = int((batch["labels"][:, 1:] != -100).sum())
        loss = learnt * model(**batch)["loss"]
        loss.backward()
        total += loss.item()
    gradients = {
        name: torch.zeros(parameter.shape) if parameter.grad is None else parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    return torch.tensor(total), gradients


@torch.inference_mode()
def answers_alone(model, rows):
    """The most likely tokens after each row, computed without a batch and without a cache."""
    found = []
    for row in rows:
        ids = list(row["input_ids"])
        while len(ids) < len(row["input_ids"]) + NEW and ids[-1] != END:
            ids.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
        found.append(ids[len(row["input_ids"]) :])
    return found


def batched(model, rows):
    batch = pad([row["input_ids"] for row in rows], 0, "left")
    config = GenerationConfig(do_sample=False, max_new_tokens=NEW, eos_token_id=[END], pad_token_id=0)
    output = model.generate(**batch, generation_config=config)[:, batch["input_ids"].shape[1] :].tolist()
    return [row[: row.index(END) + 1] if END in row else row for row in output]

"""Compiled layers give what they gave, and keep less of it for the backward pass. On a CPU compiled by
AOTAutograd alone.
"""

from functools import partial

import pytest
import torch
from functorch.compile import make_boxed_func, min_cut_rematerialization_partition
from peft import LoraConfig, get_peft_model
from torch._dynamo.backends.common import aot_autograd
from torch._inductor.decomposition import select_decomp_table
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, MistralConfig, MistralForCausalLM

from viggo_pipe.config.settings.dataset import SampleSettings
from viggo_pipe.data.sample import generate_sample
from viggo_pipe.tokens.collate import CausalCollator
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.training.compile import compile_layers
from viggo_pipe.training.fused_lora import fuse_lora
from viggo_pipe.training.packed_attention import take_packs
from viggo_pipe.training.packing import PackCollator, pack_rows

HIDDEN, MLP, HEADS, KEY_HEADS, LAYERS = 128, 448, 4, 1, 10
ROWS, LENGTH = 2, 64
NF4 = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.bfloat16,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistral")
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=256,
        hidden_size=HIDDEN,
        intermediate_size=MLP,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
    )
    MistralForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


class Step:
    """A training step of a folded NF4 model: its loss, its gradients, the bytes kept between its passes, its
    compilations.
    """

    def __init__(self, folder, compile=False, recompute=False, float8=False):
        torch._dynamo.reset()
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=NF4, dtype=torch.bfloat16)
        config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
        model = get_peft_model(model, config)
        fuse_lora(model, float8)
        self.compilations = 0
        self.graphs = []
        if compile:
            compile_layers(model, recompute, self._compiler)
        kept = {}

        def keep(tensor):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage
            return tensor

        own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
        ids = torch.arange(ROWS * LENGTH).view(ROWS, LENGTH)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            hidden = model.get_base_model().get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
        self.loss = hidden.float().square().mean()
        self.loss.backward()
        self.gradients = [parameter.grad for parameter in model.parameters() if parameter.requires_grad]
        self.bytes_kept = sum(storage.nbytes() for pointer, storage in kept.items() if pointer not in own)

    def _compiler(self, graph, inputs):
        self.compilations += 1
        partition = partial(min_cut_rematerialization_partition, compiler="inductor")
        compiler = aot_autograd(
            fw_compiler=self._keep,
            bw_compiler=self._keep,
            decompositions=select_decomp_table,
            partition_fn=partition,
        )
        return compiler(graph, inputs)

    def _keep(self, graph, inputs):
        self.graphs.append(graph.graph)
        return make_boxed_func(graph.forward)


@pytest.mark.slow
def test_loss_and_gradients_stay_and_less_is_kept(folder):
    plain, compiled, recomputing = (
        Step(folder),
        Step(folder, compile=True),
        Step(folder, compile=True, recompute=True),
    )
    assert torch.equal(recomputing.loss, plain.loss)
    assert all(
        torch.equal(one, other) for one, other in zip(recomputing.gradients, plain.gradients, strict=True)
    )
    assert (
        compiled.compilations == recomputing.compilations == 2
    )  # the first layer, whose input needs no gradient, and all others

    # bf16: a layer's input, what its products but the MLP's last one give, attention's output, and fp32: its
    # log-sum-exp.
    heads = HIDDEN + 2 * HIDDEN * KEY_HEADS // HEADS
    layer = ROWS * LENGTH * (2 * (HIDDEN + heads + HIDDEN + HIDDEN + 2 * MLP) + 4 * HEADS)
    around = recomputing.bytes_kept - LAYERS * layer
    assert 0 <= around <= ROWS * LENGTH * (6 * HIDDEN + 64)  # the last norm, and positions' sines and cosines
    assert recomputing.bytes_kept < 0.75 * compiled.bytes_kept < 0.75 * plain.bytes_kept


@pytest.mark.slow
def test_rows_are_written_in_float8_once_for_all_the_layers_that_read_them(folder):
    plain, compiled = Step(folder, float8=True), Step(folder, compile=True, recompute=True, float8=True)
    assert torch.equal(compiled.loss, plain.loss)
    assert all(
        torch.equal(one, other) for one, other in zip(compiled.gradients, plain.gradients, strict=True)
    )
    assert compiled.bytes_kept == Step(folder, compile=True, recompute=True).bytes_kept  # none of them
    casts = [sum(torch.float8_e4m3fn in node.args for node in graph.nodes) for graph in compiled.graphs]
    # Forward: for the products of attention's three and the MLP's two layers, and for their last ones.
    # Backward: each product's gradient, but in the first layer for attention's three, whose input has none.
    assert sorted(casts) == [4, 4, 4, 7]


@pytest.mark.gpu
@pytest.mark.parametrize("recompute", [False, True])
def test_a_gpu_trains_packed_folded_compiled_layers_as_rows_apart(tiny_folder, tiny_parts, recompute):
    """By inductor's kernels and FlashAttention's, against peft's own layers on padded rows."""
    _, tokenizer, encoder = tiny_parts
    sample = generate_sample(SampleSettings(train=40, validation=1, test=1, seed=0))["train"]
    rows = [encoder.example(row["sentence"], row["meaning_representation"]) for row in sample]
    packs = pack_rows(TokenRows.of_examples(rows), 256, seed=0)
    found = []
    for fast in (False, True):
        torch._dynamo.reset()
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_pretrained(
            tiny_folder, quantization_config=NF4, dtype=torch.bfloat16, device_map=0
        )
        config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
        model = get_peft_model(model, config)
        collate, batch = CausalCollator(tokenizer.pad_token_id, True), rows
        if fast:
            fuse_lora(model)
            compile_layers(model, recompute)
            take_packs(model, LENGTH)
            collate, batch = PackCollator([packs], tokenizer.pad_token_id, 256, True), list(packs)
        tensors = {
            name: part.cuda() if torch.is_tensor(part) else part for name, part in collate(batch).items()
        }
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = model(**tensors)["loss"]
        loss.backward()
        gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.requires_grad]
        found.append((loss.item(), torch.cat(gradients)))
    (loss, gradients), (fast_loss, fast_gradients) = found
    assert fast_loss == pytest.approx(loss, rel=0.005)
    assert (fast_gradients - gradients).norm() < 0.03 * gradients.norm()  # in bf16, through two layers

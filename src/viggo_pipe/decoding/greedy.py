"""Greedy decoding of a batch of prompts: transformers' `generate`, or recorded CUDA graphs."""

import sys
from collections.abc import Callable, Sequence
from typing import cast

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from viggo_pipe.config.settings.generate import GenerateSettings
from viggo_pipe.decoding.graphed_decoder import GraphedDecoder, can_decode
from viggo_pipe.decoding.row_processor import RowProcessor
from viggo_pipe.models.architecture import base_of
from viggo_pipe.tokens.collate import pad, padded_length

# From prompts' ids and what masks their scores to the answers' ids.
Decode = Callable[[Sequence[list[int]], RowProcessor | None], list[list[int]]]


def greedy_decoder(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: GenerateSettings, longest: int
) -> Decode:
    """A function that decodes batches of prompts, of at most `longest` tokens each.

    An answer stops at EOS, at a line's end, or after `settings.max_new_tokens`.
    """
    decode_greedily(model)
    pad_token_id = cast(int, tokenizer.pad_token_id)
    ends = [tokenizer.eos_token_id, *_line_ends(tokenizer)]
    length = padded_length(longest) + settings.max_new_tokens
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=settings.max_new_tokens,
        eos_token_id=ends,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=pad_token_id,
    )
    graphed = None
    if settings.cuda_graph and _can_record(model, length):
        graphed = GraphedDecoder(model, settings.batch_size, length, pad_token_id)

    def decode(prompts: Sequence[list[int]], processor: RowProcessor | None) -> list[list[int]]:
        batch = pad(prompts, pad_token_id, "left")
        if graphed is None:
            answers = _generated(model, batch, config, processor)
        else:
            answers = graphed.decode(
                batch["input_ids"], batch["attention_mask"], settings.max_new_tokens, ends, processor
            )
        return answers if processor is None else processor.finish(answers)

    return decode


def decode_greedily(model: PreTrainedModel) -> None:
    """Leave nothing of how `model` decodes to the settings that it came with.

    `generate` fills what a call leaves open from the model's generation_config.json: a repetition penalty,
    forbidden tokens, beams.
    """
    model.generation_config = base_of(model).generation_config = GenerationConfig()


def _can_record(model: PreTrainedModel, length: int) -> bool:
    if model.device.type != "cuda":
        reason = "there is no CUDA GPU here"
    elif not can_decode(model, length):
        reason = f"this model's attention is not sdpa's over {length} tokens"
    else:
        return True
    print(f"generate.cuda_graph: steps are not recorded, for {reason}", file=sys.stderr, flush=True)
    return False


def _generated(
    model: PreTrainedModel,
    batch: dict[str, torch.Tensor],
    config: GenerationConfig,
    processor: RowProcessor | None,
) -> list[list[int]]:
    """The ids that transformers' `generate` puts after the prompts of `batch`."""
    output = model.generate(  # pyright: ignore[reportCallIssue]
        **{name: tensor.to(model.device) for name, tensor in batch.items()},
        generation_config=config,
        logits_processor=None if processor is None else [processor],
    )
    return output[:, batch["input_ids"].shape[1] :].tolist()


def _line_ends(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that hold a line feed, alone or with other characters."""
    texts = tokenizer.batch_decode([[token_id] for token_id in range(len(tokenizer))])
    return [token_id for token_id, text in enumerate(texts) if "\n" in text]

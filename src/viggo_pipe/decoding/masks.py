"""llguidance's masks, a bit a token, applied to scores on any device."""

import torch
from torch.nn import functional

_BYTE = 8


def apply_masks(scores: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """`scores`, (rows, vocabulary), with minus infinity where a token's bit in `masks` is not set.

    Models can have scores for more tokens than the tokenizer has. Those are masked too.

    Args:
        masks: int32 of shape (rows, words) on the host; bit b of word w stands for token 32 w + b.
    """
    # Tokens are in bit order within bytes too, as CUDA's and all usual hosts are little-endian.
    masks = masks.to(scores.device, non_blocking=True).view(torch.uint8).unsqueeze(-1)
    bits = 1 << torch.arange(_BYTE, dtype=torch.uint8, device=scores.device)
    refused = (masks & bits == 0).flatten(1)[:, : scores.shape[1]]
    missing = scores.shape[1] - refused.shape[1]
    if missing:
        refused = functional.pad(refused, (0, missing), value=True)
    return scores.masked_fill(refused, -torch.inf)

import pytest
import torch

from viggo_pipe.decoding.masks import apply_masks


@pytest.mark.parametrize("width", [1, 33, 64, 100])
def test_a_token_is_kept_where_its_bit_is_set(width):
    bits = torch.rand((3, 64), generator=torch.Generator().manual_seed(0)) < 0.5
    words = [[sum(1 << b for b in range(32) if half[b]) for half in row.split(32)] for row in bits]
    masks = torch.tensor(words, dtype=torch.int64).to(torch.int32)
    scores = torch.rand((3, width))
    found = apply_masks(scores, masks)
    kept = torch.zeros((3, width), dtype=torch.bool)
    kept[:, :64] = bits[:, :width]
    assert torch.equal(found, torch.where(kept, scores, -torch.inf))

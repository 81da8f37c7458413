import pytest
import torch

from viggo_pipe.decoding.grouped_attention import grouped_attention


@pytest.mark.parametrize("tokens", [1, 3])
def test_values_can_be_narrower_than_keys(tokens):
    query, keys, values = torch.rand((2, 4, tokens, 6)), torch.rand((2, 2, 5, 6)), torch.rand((2, 2, 5, 3))
    mask = torch.zeros((2, 1, tokens, 5))
    module = torch.nn.Module()
    module.num_key_value_groups = 2
    found, _ = grouped_attention(module, query, keys, values, mask, scaling=0.5)
    repeated = (one.repeat_interleave(2, 1) for one in (keys, values))
    expected = torch.nn.functional.scaled_dot_product_attention(query, *repeated, mask, scale=0.5)
    torch.testing.assert_close(found, expected.transpose(1, 2))

"""Section generate for tests that ask a tiny model."""

from viggo_pipe.settings.generate import GenerateSettings


def decoding_settings(**changes) -> GenerateSettings:
    """Greedy decoding of the test split under the grammar, a sentence a batch, but for `changes`."""
    usual = {"split": "test", "constrain": True, "alternatives": None, "batch_size": 1, "cuda_graph": False, "dequantize": False}
    return GenerateSettings(**{**usual, "max_new_tokens": 150, **changes})

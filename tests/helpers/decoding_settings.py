"""Section generate for tests that ask a tiny model."""

from viggo_pipe.config.settings.generate import GenerateSettings


def decoding_settings(**changes) -> GenerateSettings:
    """Greedy decoding of the test split under the grammar, a sentence a batch, but for `changes`."""
    usual = {"split": "test", "constrain": True, "rerank": None, "channel_weight": 0.0}
    usual |= {"batch_size": 1, "cuda_graph": False, "dequantize": False, "max_new_tokens": 150}
    return GenerateSettings(**{**usual, **changes})

"""Loads the base model's tokenizer, set up the same way for every stage."""

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from viggo_pipe.core.errors import InputError, one_line
from viggo_pipe.models.base_model import BaseCheckpoint


def load_tokenizer(base: BaseCheckpoint) -> PreTrainedTokenizerBase:
    """The tokenizer of `base`, padding on the left, with a pad token that is not EOS.

    With pad = EOS, masking the padding masks EOS too, and the model never learns to stop
    (transformers#23530). Labels here are masked by length, but the pad token is another one all the same.

    Raises:
        InputError: the tokenizer cannot be read, or has no EOS token.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(base.folder, trust_remote_code=False, local_files_only=True)
    except (ValueError, OSError, LookupError, TypeError, AttributeError, ImportError) as error:
        raise InputError(
            f"{base.name}: no tokenizer can be read from {base.folder}: {one_line(error)}"
        ) from error
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"{base.name}: its tokenizer has no EOS token, so a model could not learn where an answer ends"
        )
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id in (None, tokenizer.eos_token_id):
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.bos_token
    if tokenizer.pad_token_id in (None, tokenizer.eos_token_id):
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)
    return tokenizer

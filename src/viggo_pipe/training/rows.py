"""Which rows a model can be trained on. `viggo check` knows it by a model without weights."""

from peft import PeftModel
from transformers import PreTrainedModel

from viggo_pipe.config.settings.train import TrainSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.models.architecture import base_of, check_embeddings, most_positions
from viggo_pipe.tokens.collate import padded_length
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.training.packed_attention import check_packing
from viggo_pipe.training.packing import check_pack_length


def check_rows(
    model: PreTrainedModel | PeftModel, rows: TokenRows, pad_token_id: int, settings: TrainSettings
) -> None:
    """Check that `model` can be trained on `rows`, by their lengths and their tokens.

    Raises:
        InputError: a row is too long for it or for a pack, has a token that it does not know, or cannot be
            packed.
    """
    longest, base = int(rows.lengths.max()), base_of(model)
    if settings.pack_length is not None:
        check_pack_length(rows, settings.pack_length)
        check_packing(base, longest)
    padded = padded_length(longest) if settings.pack_length is None else longest
    most = most_positions(base)
    if most is not None and padded > most:
        raise InputError(
            f"tokenize.max_length: a row has {padded:,} tokens, padding included, over the {most:,} that "
            f"{type(base).__name__} takes: lower it to that, and set tokenize.overflow to drop or truncate"
        )
    check_embeddings(base, max(rows.highest_id, pad_token_id))


def with_something_to_learn(rows: TokenRows, settings: TrainSettings) -> TokenRows:
    """Leave out rows whose answer was cut off whole: they have no label, and a batch of them would have the
    loss NaN.

    Raises:
        InputError: none is left.
    """
    has_labels = rows.label_counts(settings.completion_only_loss) > 0
    kept = int(has_labels.sum())
    if kept < len(rows):
        print(
            f"left out {len(rows) - kept} of {len(rows)} rows: truncation cut off their whole answer",
            flush=True,
        )
    if not kept:
        raise InputError(
            "no row has an answer left to learn: raise tokenize.max_length or shorten the prompt"
        )
    return rows.where(has_labels)

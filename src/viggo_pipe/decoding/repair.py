"""Ends an answer that ran out of tokens."""

from collections.abc import Sequence

from llguidance import LLMatcher

from viggo_pipe.decoding.vocabulary import Vocabulary

# What ends an answer behind a whole answer, a whole slot and a whole value.
_ENDINGS = ("", ")", "])")


def end_answer(matcher: LLMatcher, ids: Sequence[int], vocabulary: Vocabulary) -> list[int]:
    """The longest beginning of `ids` that can be ended behind a value or a slot, and that ending.

    Without such a beginning, `ids` as they are.

    Args:
        matcher: the answer's grammar, which has consumed `ids`; it is rolled back.
    """
    endings = [vocabulary.encode(text) for text in _ENDINGS]
    for end in range(len(ids), 0, -1):
        for ending in endings:
            if matcher.validate_tokens(ending) == len(ending):
                return [*ids[:end], *ending]
        matcher.rollback(1)
    return list(ids)

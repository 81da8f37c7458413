"""params.yaml, section `prompt`: the text that comes before the meaning representation."""

from pydantic import field_validator

from viggo_pipe.settings.section import Section

SENTENCE, MEANING_REPRESENTATION = "{sentence}", "{meaning_representation}"


class PromptSettings(Section):
    """`template`: the prompt, with `{sentence}` where the sentence goes; the answer follows its last character.

    `reverse`: the prompt of the other direction, with `{meaning_representation}`, whose answer is the sentence: what
    `train.reverse_members` learn and `generate.reverse_weight` asks; null: rows are not tokenized for it.
    """

    template: str
    reverse: str | None

    @field_validator("template")
    @classmethod
    def _one_sentence(cls, template: str) -> str:
        return _with_one(SENTENCE, template)

    @field_validator("reverse")
    @classmethod
    def _one_meaning_representation(cls, reverse: str | None) -> str | None:
        return None if reverse is None else _with_one(MEANING_REPRESENTATION, reverse)


def _with_one(placeholder: str, template: str) -> str:
    if template.count(placeholder) != 1:
        raise ValueError(f"the template must contain {placeholder} exactly once")
    return template

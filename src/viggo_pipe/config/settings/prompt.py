"""params.yaml, section `prompt`."""

from pydantic import Field, field_validator

from viggo_pipe.config.settings.section import Section

SENTENCE, MEANING_REPRESENTATION = "{sentence}", "{meaning_representation}"


class PromptSettings(Section):
    """The text that comes before the answer."""

    template: str = Field(description="Prompt, with {sentence} once. The answer follows its last character.")
    reverse: str | None = Field(
        description="Prompt of the reverse direction, with {meaning_representation} once, whose answer is "
        "the sentence. train.reverse_members and generate.channel_weight need it. null: rows are not "
        "tokenized for it."
    )

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

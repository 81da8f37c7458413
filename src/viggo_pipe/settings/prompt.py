"""params.yaml, section `prompt`: the text that comes before the meaning representation."""

from pydantic import field_validator

from viggo_pipe.settings.section import Section

PLACEHOLDER = "{sentence}"


class PromptSettings(Section):
    """`template`: the prompt, with `{sentence}` where the sentence goes; the answer follows its last character."""

    template: str

    @field_validator("template")
    @classmethod
    def _one_placeholder(cls, template: str) -> str:
        if template.count(PLACEHOLDER) != 1:
            raise ValueError(f"the template must contain {PLACEHOLDER} exactly once")
        return template

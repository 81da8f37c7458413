"""Renders the report as one HTML page that needs no network, and its templates in general."""

import base64
import hashlib
import json

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from viggo_pipe.report.charts import HEIGHT, WIDTH, length_histogram, loss_chart
from viggo_pipe.report.data import ReportData

_TEMPLATES = PackageLoader("viggo_pipe.report")


def render_page(data: ReportData) -> str:
    """The page: summary, what is still wrong, plots, and a browser of all examples.

    Whatever comes from the data or the model is escaped: as text by Jinja, and in the examples' JSON, where
    "<" is written as an escape of JSON's own, so that no prediction can end the script element that holds it.
    And the page's policy lets a browser run its one script, known by its hash, and load nothing.
    """
    environment = report_environment(autoescape=True)
    environment.filters["share"] = _share
    # The project's own files, not data: they hold markup on purpose.
    style, script = (
        Markup(_TEMPLATES.get_source(environment, name)[0]) for name in ("style.css", "browse.js")
    )
    return environment.get_template("index.html").render(
        data=data,
        width=WIDTH,
        height=HEIGHT,
        loss=loss_chart(data.losses),
        lengths=length_histogram(data.token_lengths, "train", data.max_length),
        examples_json=_script_safe(data.examples),
        style=style,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def report_environment(autoescape: bool) -> Environment:
    """Jinja over the report's templates; a name that the data lack raises.

    Args:
        autoescape: True for HTML, False for Markdown.
    """
    return Environment(
        loader=_TEMPLATES,
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _script_safe(content: object) -> Markup:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # safe: holds none of the characters that end a script element or begin another


def _share(value: float) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * value:.1f}"

"""How the report's templates are rendered."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def report_environment(autoescape: bool) -> Environment:
    """Jinja over the report's templates; a name that the data lack raises. `autoescape` for HTML, and not for Markdown."""
    return Environment(
        loader=PackageLoader("viggo_pipe.report"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

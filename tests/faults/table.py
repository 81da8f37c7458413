"""The table of faults in docs/reliability.md."""

from collections.abc import Sequence

from helpers.imports import ROOT

from viggo_pipe.core.machine import describe_machine

_DOCUMENT = ROOT / "docs/reliability.md"
_BEGIN, _END = "<!-- faults: begin -->\n", "<!-- faults: end -->"
_HEAD = ["| fault | how often | what was lost | alone |", "|---|---|---|---|"]


def write_row(name: str, cells: str, order: Sequence[str]) -> None:
    """Put a fault's row, in place of an earlier one, and what it was measured on, between the document's two
    marks.

    Args:
        cells: the row, but for the command that it was made with.
        order: the names of all rows; one that stands there and is not among them goes.
    """
    machine = describe_machine()
    note = (
        f"Written by `make faults`, on {machine['processor']}, {machine['cores']} cores; torch "
        f"{machine['versions']['torch']}."
    )
    before, _, rest = _DOCUMENT.read_text(encoding="utf-8").partition(_BEGIN)
    between, _, after = rest.partition(_END)
    rows = {line.rsplit("`", 2)[1].split()[-1]: line for line in between.splitlines() if line.endswith("` |")}
    rows[name] = f"| {cells} | `python tests/faults {name}` |"
    table = [note, "", *_HEAD, *(rows[key] for key in order if key in rows)]
    _DOCUMENT.write_text(before + _BEGIN + "\n".join(table) + "\n" + _END + after, encoding="utf-8")

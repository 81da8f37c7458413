"""Which columns of a file hold what: the one place that knows their names."""

from collections.abc import Sequence
from typing import NamedTuple

from viggo_pipe.core.errors import InputError
from viggo_pipe.data.lines import shown

# By field of a row: the names of its column in GEM/viggo's files, in GEM/viggo as the Hub shows it, and here.
_NAMES = {
    "id": ("gem_id", "id"),
    "meaning_representation": ("mr", "meaning_representation"),
    "sentence": ("ref", "target", "sentence"),
}
_OPTIONAL = ("id",)  # the author's own files have none


class Record(NamedTuple):
    """A row as a file has it, unchecked.

    Attributes:
        line: the number of the line that it begins on.
        cells: by field of a row, the name of its column and its value. A file without ids has no `id`.
    """

    line: int
    cells: dict[str, tuple[str, object]]


class Columns:
    """The columns of a file, of which each field has its own. Those of other names do not count.

    White space around a name does not belong to it.

    Args:
        names: of all columns, in their order.
        where: the file and the line of the names, for errors.

    Raises:
        InputError: a field has no column, or two could be its.
    """

    def __init__(self, names: Sequence[str], where: str):
        names = [name.strip() for name in names]
        self._places: dict[str, tuple[str, int]] = {}
        for field, known in _NAMES.items():
            named, places = field.replace("_", " "), [at for at, name in enumerate(names) if name in known]
            if len(places) > 1:
                first, second = (names[at] for at in places[:2])
                raise InputError(
                    f"{where}: columns {first!r} and {second!r} can both be the {named}; rename one, or take "
                    "it out"
                )
            if places:
                self._places[field] = names[places[0]], places[0]
            elif field not in _OPTIONAL:
                found = shown(", ".join(names)) if names else "nothing"
                raise InputError(
                    f"{where}: no column {known[0]!r}, found {found}; name the column of the {named} "
                    f"{' or '.join(known)}, and separate the columns of CSV by commas"
                )

    @property
    def names(self) -> list[str]:
        """Those of the columns that have a field."""
        return [name for name, _ in self._places.values()]

    def record(self, line: int, values: Sequence[object]) -> Record:
        """The record on `line`, of which `values` are those of all columns."""
        return Record(line, {field: (name, values[at]) for field, (name, at) in self._places.items()})

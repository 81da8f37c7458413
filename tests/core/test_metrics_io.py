import pytest

from viggo_pipe.core.errors import InputError
from viggo_pipe.core.metrics_io import write_metrics, write_plot


def test_metrics_are_sorted_and_end_with_a_newline(tmp_path):
    write_metrics(tmp_path / "metrics" / "base.json", {"b": 0.5, "a": 2})
    assert (tmp_path / "metrics" / "base.json").read_text() == '{\n  "a": 2,\n  "b": 0.5\n}\n'


def test_a_plot_has_a_header_and_a_line_a_row(tmp_path):
    write_plot(tmp_path / "plots" / "x.csv", ({"step": n, "note": "a,b"} for n in (1, 2)))
    assert (tmp_path / "plots" / "x.csv").read_bytes() == b'step,note\n1,"a,b"\n2,"a,b"\n'


def test_a_plot_without_rows_is_refused_and_not_written(tmp_path):
    with pytest.raises(InputError, match="there is no row to plot"):
        write_plot(tmp_path / "x.csv", [])
    assert list(tmp_path.iterdir()) == []

import pytest

from viggo_pipe.core.errors import InputError
from viggo_pipe.core.jsonl import read_jsonl, write_jsonl


def test_jsonl_round_trips_and_keeps_line_separators_inside_a_line(tmp_path):
    rows = [{"sentence": "Pok\u00e9mon\u2028\u0085"}, {"n": 1}]
    assert write_jsonl(tmp_path / "rows.jsonl", rows) == 2
    assert list(read_jsonl(tmp_path / "rows.jsonl")) == rows


@pytest.mark.parametrize("content", [b"{}\n{\n", b"{}\n[1]\n", b"\xff\n"])
def test_bad_jsonl_names_the_file(tmp_path, content):
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=r"rows\.jsonl"):
        list(read_jsonl(tmp_path / "rows.jsonl"))

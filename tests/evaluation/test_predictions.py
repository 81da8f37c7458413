import json

import pytest

from viggo_pipe.core.errors import InputError
from viggo_pipe.evaluation.predictions import Prediction, read_predictions

ROW = {"id": "1", "sentence": "Doom?", "reference": "inform(name[Doom])", "prediction": ""}


def test_predictions_are_read_in_order(tmp_path):
    path = tmp_path / "base.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps(ROW | {"id": "2", "seconds": 3}) + "\n")
    assert list(read_predictions(path)) == [Prediction(**ROW), Prediction(**ROW | {"id": "2"})]


@pytest.mark.parametrize("field", ["id", "sentence", "reference", "prediction"])
@pytest.mark.parametrize("value", [None, 7, ["x"]])
def test_a_row_without_one_of_the_texts_is_bad_input(tmp_path, field, value):
    path = tmp_path / "base.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps(ROW | {field: value}) + "\n")
    with pytest.raises(InputError, match=f"base.jsonl, line 2: '{field}' is missing or not a string"):
        list(read_predictions(path))


def test_an_empty_file_is_bad_input(tmp_path):
    path = tmp_path / "base.jsonl"
    path.touch()
    with pytest.raises(InputError, match=r"base\.jsonl holds no line"):
        list(read_predictions(path))

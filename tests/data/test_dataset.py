"""The sources, and the stage's script on files of one's own."""

import csv
import hashlib
import json
import os

import pytest
from helpers.csv_row import HEADER, READ, ROW
from helpers.fetch_stage import DATASET, PUBLISHED, SPLITS, raw_rows, refused, run_fetch, succeeded

from viggo_pipe.config.settings.dataset import DatasetSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.data.dataset import fetch_dataset
from viggo_pipe.meaning.syntax import parse


def settings(**keys):
    return DatasetSettings.model_validate(DATASET | keys)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with three good CSV files in data/local."""
    monkeypatch.chdir(tmp_path)
    local = tmp_path / "data/local"
    local.mkdir(parents=True)
    for split in SPLITS:
        (local / f"{split}.csv").write_bytes(HEADER + ROW)
    return tmp_path


def written(folder):
    return {path.name: path.read_bytes() for path in (folder / "data/raw").iterdir()}


def test_the_script_writes_the_three_splits(project):
    assert succeeded(done := run_fetch(project, {})), done.stderr
    assert done.stdout.splitlines()[0] == "data/raw/train.jsonl: 1 rows (local)"
    assert {split: raw_rows(project, split) for split in SPLITS} == {split: [READ] for split in SPLITS}
    assert sorted(written(project)) == ["test.jsonl", "train.jsonl", "validation.jsonl"]


def test_the_script_refuses_on_one_line(project):
    with open(project / "data/local/test.csv", "ab") as file:
        file.write(b"two,inform(name[Doom,Doom.\r\n")
    line = refused(run_fetch(project, {}), project)
    assert line == (
        "fetch: data/local/test.csv, line 3: column mr: 'inform(name[Doom' is not a meaning representation "
        "(expected "
        "']' at character 16); correct it\n"
    )


def test_the_sample_is_written(project):
    counts = fetch_dataset(settings(source="sample"), "data/raw")
    assert counts == {"train": 12, "validation": 4, "test": 4}
    for split, count in counts.items():
        rows = raw_rows(project, split)
        assert len({row["id"] for row in rows}) == len(rows) == count
        assert all(list(row) == ["id", "sentence", "meaning_representation"] for row in rows)


def test_a_share_of_the_training_rows_is_drawn(project):
    def kept(share, seed=0):
        sample = DATASET["sample"] | {"train": 200}
        fetch_dataset(
            settings(source="sample", sample=sample, train_share=share, train_share_seed=seed), "data/raw"
        )
        assert len(raw_rows(project, "validation")) == len(raw_rows(project, "test")) == 4
        return [row["id"] for row in raw_rows(project, "train")]

    everything = kept(1.0)
    assert len(everything) == 200
    previous = set()
    for share, count in ((0.001, 1), (0.01, 2), (0.05, 10), (0.2, 40), (0.5, 100)):
        ids = kept(share)
        assert len(ids) == count and previous <= set(ids)
        assert ids == [identifier for identifier in everything if identifier in set(ids)]  # in their order
        previous = set(ids)
    assert kept(0.2) == kept(0.2) != kept(0.2, seed=1)


def test_local_files(project):
    assert fetch_dataset(settings(), "data/raw") == dict.fromkeys(SPLITS, 1)


def test_a_missing_folder(project):
    with pytest.raises(InputError, match=r"there is no folder data/none; put train, validation"):
        fetch_dataset(settings(path="data/none"), "data/raw")
    assert not (project / "data/raw").exists()


def test_a_split_in_either_format(project):
    local = project / "data/local"
    (local / "train.csv").unlink()
    object_ = {"mr": READ["meaning_representation"], "ref": READ["sentence"]}
    (local / "train.jsonl").write_text(json.dumps(object_) + "\n", encoding="utf-8")
    assert fetch_dataset(settings(), "data/raw") == dict.fromkeys(SPLITS, 1)
    assert raw_rows(project, "train") == [READ | {"id": "local-train-1"}]
    assert raw_rows(project, "test") == [READ]
    digest = hashlib.sha256((local / "train.jsonl").read_bytes()).hexdigest()
    fetch_dataset(settings(sha256=dict.fromkeys(SPLITS) | {"train": digest}), "data/raw")
    with pytest.raises(InputError, match=r"dataset\.sha256\.train: data/local/train\.jsonl has sha256"):
        fetch_dataset(settings(sha256=dict.fromkeys(SPLITS) | {"train": "0" * 64}), "data/raw")


def test_a_split_in_both_formats_is_refused(project):
    (project / "data/local/test.jsonl").touch()
    line = refused(run_fetch(project, {}), project)
    assert line == (
        "fetch: dataset.path: data/local holds both test.csv and test.jsonl; take one of them out\n"
    )


@pytest.mark.parametrize("checked", [None, "0" * 64])
def test_a_missing_file(project, checked):
    (project / "data/local/validation.csv").unlink()
    checksums = dict.fromkeys(SPLITS) | {"validation": checked}
    with pytest.raises(
        InputError, match=r"cannot read data/local/validation\.csv: No such file or directory"
    ):
        fetch_dataset(settings(sha256=checksums), "data/raw")


def test_a_local_checksum(project):
    content = (project / "data/local/train.csv").read_bytes()
    right = hashlib.sha256(content).hexdigest()
    fetch_dataset(settings(sha256=dict.fromkeys(SPLITS, right)), "data/raw")
    before = written(project)
    wrong = "f" * 64
    with pytest.raises(InputError) as caught:
        fetch_dataset(settings(sha256=dict.fromkeys(SPLITS, right) | {"test": wrong}), "data/raw")
    assert str(caught.value) == (
        f"dataset.sha256.test: data/local/test.csv has sha256 {right}, not {wrong}; put the right file "
        "there, or set it to null to leave the file unchecked"
    )
    assert written(project) == before


@pytest.mark.parametrize("split", SPLITS)
def test_a_bad_row_anywhere_changes_nothing(project, split):
    fetch_dataset(settings(), "data/raw")
    before = written(project)
    for each in SPLITS:
        (project / f"data/local/{each}.csv").write_bytes(HEADER + ROW.replace(b"one", b"new"))
    with open(project / f"data/local/{split}.csv", "ab") as file:
        file.write(b"two,oops,Doom\n")
    with pytest.raises(InputError, match=rf"{split}\.csv, line 3"):
        fetch_dataset(settings(), "data/raw")
    assert written(project) == before


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_full_disk_changes_nothing(project, monkeypatch, failing):
    fetch_dataset(settings(), "data/raw")
    before = written(project)
    for split in SPLITS:
        (project / f"data/local/{split}.csv").write_bytes(HEADER + ROW.replace(b"one", b"new"))
    synced = []

    def fsync(number):
        synced.append(number)
        if len(synced) == failing:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(InputError, match="no space left to write data/raw"):
        fetch_dataset(settings(), "data/raw")
    assert written(project) == before


@pytest.mark.parametrize("split", SPLITS)
def test_a_folder_in_a_files_place(project, split):
    (project / f"data/raw/{split}.jsonl").mkdir(parents=True)
    with pytest.raises(InputError, match=rf"cannot write data/raw/{split}\.jsonl: a folder of that name"):
        fetch_dataset(settings(), "data/raw")
    assert [path.name for path in (project / "data/raw").iterdir()] == [f"{split}.jsonl"]


@pytest.mark.viggo
def test_the_published_files(project, viggo_folder):
    keys = {"path": str(viggo_folder), "sha256": PUBLISHED}
    assert fetch_dataset(settings(**keys), "data/raw") == {"train": 5103, "validation": 714, "test": 1083}
    for split in SPLITS:
        for row in raw_rows(project, split):
            meaning = row["meaning_representation"]
            assert str(parse(meaning)) == meaning
    ids = [row["id"] for row in raw_rows(project, "train")]
    assert ids == [f"GEM-viggo-train-{number}" for number in range(1, 5104)]


@pytest.mark.viggo
def test_the_published_rows_as_datasets_and_their_author_write_them(project, viggo_folder):
    fetch_dataset(settings(path=str(viggo_folder)), "data/raw")
    expected = {split: raw_rows(project, split) for split in SPLITS}
    for split in SPLITS:
        path = project / f"data/local/{split}.csv"
        path.unlink()
        with open(path.with_suffix(".jsonl"), "w", encoding="utf-8") as file:
            for row in expected[split]:
                sentence = row["sentence"]
                shown = {"gem_id": row["id"], "meaning_representation": row["meaning_representation"]}
                file.write(json.dumps(shown | {"target": sentence, "references": [sentence]}) + "\n")
    fetch_dataset(settings(), "data/raw")
    assert {split: raw_rows(project, split) for split in SPLITS} == expected
    for split in SPLITS:
        path = project / f"data/local/{split}.jsonl"
        path.unlink()
        with open(path.with_suffix(".csv"), "w", encoding="utf-8", newline="") as file:
            rows = ([row["meaning_representation"], row["sentence"]] for row in expected[split])
            csv.writer(file).writerows([["mr", "ref"], *rows])
    fetch_dataset(settings(), "data/raw")
    for split in SPLITS:
        found = raw_rows(project, split)
        assert [row.pop("id") for row in found] == [
            f"local-{split}-{number}" for number in range(1, len(found) + 1)
        ]
        assert found == [{key: row[key] for key in row if key != "id"} for row in expected[split]]

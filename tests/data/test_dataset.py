"""The sources, reading CSV, and the stage's script on files of one's own."""

import csv
import hashlib
import os
import time

import pytest
from helpers.fetch_stage import DATASET, PUBLISHED, SPLITS, raw_rows, refused, run_fetch, succeeded
from hypothesis import given
from hypothesis import strategies as st

from viggo_pipe.config.settings.dataset import DatasetSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.data.csv_rows import read_csv
from viggo_pipe.data.dataset import fetch_dataset
from viggo_pipe.meaning.syntax import parse

HEADER = b"gem_id,mr,ref\r\n"
ROW = b'one,"inform(name[Doom], genres[shooter, action])","Doom, a ""shooter""."\r\n'
READ = {
    "id": "one",
    "sentence": 'Doom, a "shooter".',
    "meaning_representation": "inform(name[Doom], genres[shooter, action])",
}


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


@pytest.mark.parametrize(
    "content",
    [
        HEADER + ROW,
        b"\xef\xbb\xbf" + HEADER + ROW,
        (HEADER + ROW).replace(b"\r\n", b"\n"),
        (HEADER + ROW).removesuffix(b"\r\n"),
        HEADER + b"\r\n" + ROW + b"\r\n\r\n",
        b'\xef\xbb\xbf"gem_id","mr","ref"\n' + ROW,
        b'source,ref,gem_id,mr\n,"Doom, a ""shooter"".",one,"inform(name[Doom], genres[shooter, action])"\n',
    ],
)
def test_forms_of_csv_that_are_read(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    assert list(read_csv(tmp_path / "a.csv")) == [READ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: no column 'gem_id', found nothing; name the columns"),
        (b"\n\n", "line 1: no column 'gem_id', found nothing"),
        (b"gem_id,mr\none,inform(name[Doom])\n", "line 1: no column 'ref', found 'gem_id, mr'"),
        (b"gem_id;mr;ref\n", "line 1: no column 'gem_id', found 'gem_id;mr;ref'"),
        ((HEADER + ROW).decode().encode("utf-16"), "line 1: byte 0 of the file, 0xff, is not UTF-8"),
        (
            b"\xef\xbb\xbf" + HEADER + b"\xe9,a(b[c]),d\n",
            "line 2: byte 18 of the file, 0xe9, is not UTF-8; save it as",
        ),
        (
            HEADER + ROW + "two,inform(name[Pokémon]),Oh.".encode("latin-1"),
            "line 3: byte 108 of the file, 0xe9",
        ),
        (HEADER, "a.csv has no row under its header"),
        (
            HEADER + b"one,inform(name[Doom])\n",
            "line 2: 2 cells under 3 columns: 'one,inform(name[Doom])'; add",
        ),
        (HEADER + b"one,inform(name[a], rating[good]),Doom\n", "line 2: 4 cells under 3 columns"),
        (HEADER + b",inform(name[Doom]),Doom\n", "line 2: column gem_id is empty"),
        (HEADER + b"one,inform(name[Doom]),  \n", "line 2: column ref is empty"),
        (
            HEADER + b"one,,Doom\n",
            "line 2: column mr: '' is not a meaning representation (expected a dialogue act",
        ),
        (HEADER + ROW + b"\n" + ROW, "line 4: gem_id 'one' is that of line 2; make it unique"),
        (
            HEADER + b'one,"inform(name[a\nb])",Doom\n',
            r"line 2: column mr: 'inform(name[a\nb])' is not a meaning",
        ),
        (HEADER + b'"one\n\n",oops,Doom\n', "line 2: column mr: 'oops'"),
        (
            HEADER + b'"a\nb",inform(name[Doom]),Doom\n"c,oops,Doom\n',
            "line 4: not CSV (unexpected end of data); close",
        ),
        (HEADER + b'one,"inform(name[Doom])"x,Doom\n', "line 2: not CSV ('"),
        (
            HEADER.replace(b"\r\n", b"\r") + ROW.replace(b"\r\n", b"\r"),
            "line 1: not CSV (new-line character seen",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(read_csv(tmp_path / "a.csv"))
    assert str(caught.value).startswith(f"{tmp_path / 'a.csv'}")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_long_value_is_not_shown_whole(tmp_path):
    (tmp_path / "a.csv").write_bytes(HEADER + b"one," + b"x" * 100_000 + b",Doom\n")
    with pytest.raises(
        InputError, match=r"xx'\.\.\. \(100000 characters\) is not a meaning representation"
    ) as caught:
        list(read_csv(tmp_path / "a.csv"))
    assert len(str(caught.value)) < 500


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1), min_size=1, max_size=5
    )
)
def test_any_sentence_survives(tmp_path_factory, sentences):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    sentences = [sentence + "." for sentence in sentences]
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        rows = [[number, "request_attribute(esrb[])", sentence] for number, sentence in enumerate(sentences)]
        csv.writer(file).writerows([["gem_id", "mr", "ref"], *rows])
    assert [row["sentence"] for row in read_csv(path)] == sentences


def test_reading_takes_linear_time(tmp_path):
    def seconds(rows):
        with open(tmp_path / "a.csv", "w") as file:
            file.write("gem_id,mr,ref\n")
            file.writelines(f"{number},inform(name[Doom]),Doom\n" for number in range(rows))
        started = time.process_time()
        assert sum(1 for _ in read_csv(tmp_path / "a.csv")) == rows
        return time.process_time() - started

    assert seconds(40_000) < 8 * max(seconds(10_000), 0.02)


def test_local_files(project):
    assert fetch_dataset(settings(), "data/raw") == dict.fromkeys(SPLITS, 1)


def test_a_missing_folder(project):
    with pytest.raises(InputError, match=r"there is no folder data/none; put train\.csv, validation\.csv"):
        fetch_dataset(settings(path="data/none"), "data/raw")
    assert not (project / "data/raw").exists()


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

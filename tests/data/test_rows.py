"""Reading a split's file: its formats, its columns, and what is wrong with a line."""

import csv
import json
import time

import pytest
from helpers.csv_row import HEADER, READ, ROW
from hypothesis import given
from hypothesis import strategies as st

from viggo_pipe.core.errors import InputError
from viggo_pipe.data.rows import read_rows

HUB = {"gem_id": "one", "meaning_representation": READ["meaning_representation"], "target": READ["sentence"]}


def refusal(path):
    """The line that refuses the file, which begins with its path."""
    with pytest.raises(InputError) as caught:
        list(read_rows(path, "own-test"))
    said = str(caught.value)
    assert said.startswith(str(path)) and len(said.splitlines()) == 1
    return said


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
        HEADER.replace(b",", b", ") + ROW,
        b' gem_id\t,"mr ",ref ,,\r\n' + ROW.replace(b"\r\n", b",,\r\n"),
        b"\xef\xbb\xbf" * 2 + HEADER + ROW,
        b"source,source," + HEADER + b"a,b," + ROW,
        b"id,meaning_representation,sentence\n" + ROW,
        b"gem_id,meaning_representation,target\n" + ROW,
    ],
)
def test_forms_of_csv_that_are_read(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    assert list(read_rows(tmp_path / "a.csv", "own-test")) == [READ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: no column 'mr', found nothing; name the column of the meaning representation mr or "),
        (b"\n\n", "line 1: no column 'mr', found nothing"),
        (
            b"gem_id,mr\none,inform(name[Doom])\n",
            "line 1: no column 'ref', found 'gem_id, mr'; name the column of the sentence ref or target or "
            "sentence, and",
        ),
        (b"gem_id;mr;ref\n", "line 1: no column 'mr', found 'gem_id;mr;ref'; name"),
        (b"gem_id\tmr\tref\n", r"found 'gem_id\tmr\tref'; name"),
        (b'\ngem_id, "mr", "ref"\n', "line 2: no column 'mr', found 'gem_id, \"mr\", \"ref\"'"),
        (
            b"mr,ref,mr\n",
            "line 1: columns 'mr' and 'mr' can both be the meaning representation; rename one, or",
        ),
        (b"gem_id,mr,ref, ref \n", "line 1: columns 'ref' and 'ref' can both be the sentence"),
        (b"gem_id,mr,ref,target\n", "line 1: columns 'ref' and 'target' can both be the sentence"),
        (b"gem_id,mr,ref,id\n", "line 1: columns 'gem_id' and 'id' can both be the id"),
        (b"mr,ref\ninform(name[Doom], rating[good]),Doom\n", "line 2: 3 cells under 2 columns"),
        (HEADER + b"one, inform(name[Doom]),Doom\n", "line 2: column mr: ' inform(name[Doom])' is not a"),
        (HEADER + ROW + b",,\n", "line 3: column gem_id is empty"),
        (HEADER + ROW + b" \n", "line 3: 1 cells under 3 columns"),
        ((HEADER + ROW).decode().encode("utf-16"), "line 1: byte 0 of the file, 0xff, is not UTF-8"),
        (
            b"\xef\xbb\xbf" + HEADER + b"\xe9,a(b[c]),d\n",
            "line 2: byte 18 of the file, 0xe9, is not UTF-8; save it as",
        ),
        (
            HEADER + ROW + "two,inform(name[Pokémon]),Oh.".encode("latin-1"),
            "line 3: byte 108 of the file, 0xe9",
        ),
        (HEADER, "a.csv has no row; every split needs"),
        (
            HEADER + b"one,inform(name[Doom])\n",
            "line 2: 2 cells under 3 columns: 'one,inform(name[Doom])'; add",
        ),
        (HEADER + b"one,inform(name[a], rating[good]),Doom\n", "line 2: 4 cells under 3 columns"),
        (HEADER + b",inform(name[Doom]),Doom\n", "line 2: column gem_id is empty"),
        (HEADER + b"one,inform(name[Doom]),  \n", "line 2: column ref is empty"),
        (HEADER + b"one,,Doom\n", "line 2: column mr is empty; fill it in"),
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
    assert message in refusal(tmp_path / "a.csv")


def test_a_long_value_is_not_shown_whole(tmp_path):
    (tmp_path / "a.csv").write_bytes(HEADER + b"one," + b"x" * 100_000 + b",Doom\n")
    with pytest.raises(
        InputError, match=r"xx'\.\.\. \(100000 characters\) is not a meaning representation"
    ) as caught:
        list(read_rows(tmp_path / "a.csv", "own-test"))
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
    assert [row["sentence"] for row in read_rows(path, "own-test")] == sentences


def test_reading_takes_linear_time(tmp_path):
    def seconds(rows):
        with open(tmp_path / "a.csv", "w") as file:
            file.write("gem_id,mr,ref\n")
            file.writelines(f"{number},inform(name[Doom]),Doom\n" for number in range(rows))
        started = time.process_time()
        assert sum(1 for _ in read_rows(tmp_path / "a.csv", "own-test")) == rows
        return time.process_time() - started

    assert seconds(40_000) < 8 * max(seconds(10_000), 0.02)


@pytest.mark.parametrize("header", [b"mr,ref", b"\xef\xbb\xbfmr, ref", b"meaning_representation,target"])
def test_rows_without_ids_get_some(tmp_path, header):
    row = ROW.removeprefix(b"one,")
    (tmp_path / "a.csv").write_bytes(header + b"\n" + row + b"\n" + row)
    ids = ["own-test-1", "own-test-2"]
    assert list(read_rows(tmp_path / "a.csv", "own-test")) == [READ | {"id": id_} for id_ in ids]


def lines(*objects):
    return "".join(json.dumps(each) + "\n" for each in objects).encode()


@pytest.mark.parametrize(
    "content",
    [
        lines(READ),
        lines(HUB),
        lines(HUB | {"references": ["Doom."], "more": {"ref": None}}),
        lines({" mr ": READ["meaning_representation"], "ref": READ["sentence"], "gem_id": "one"}),
        b"\xef\xbb\xbf" + lines(HUB),
        lines(HUB).replace(b"\n", b"\r\n"),
        b"\n" + lines(HUB).rstrip() + b"\n \n\n",
        lines(HUB).rstrip(),
    ],
)
def test_forms_of_json_lines_that_are_read(tmp_path, content):
    (tmp_path / "a.jsonl").write_bytes(content)
    assert list(read_rows(tmp_path / "a.jsonl", "own-test")) == [READ]


def test_ids_of_json_lines_may_be_numbers_or_missing(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(HUB | {"gem_id": 7}, HUB | {"gem_id": 8}))
    assert [row["id"] for row in read_rows(path, "own-test")] == ["7", "8"]
    without = {key: HUB[key] for key in ("target", "meaning_representation")}
    path.write_bytes(lines(without, dict(reversed(without.items()))))
    assert [row["id"] for row in read_rows(path, "own-test")] == ["own-test-1", "own-test-2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.jsonl has no row; every split needs"),
        (b"\n \n", "a.jsonl has no row; every split needs"),
        (b"[\n", "line 1: not JSON (Expecting value); write one object a line"),
        (lines(HUB) + b'{"gem_id"\n', "line 2: not JSON (Expecting ':' delimiter)"),
        (b"[" * 100_000, "line 1: not JSON (maximum recursion depth exceeded"),
        (lines(HUB).rstrip() * 2, "line 1: not JSON (Extra data)"),
        (b'{"id": ' + b"1" * 5000 + b"}", "line 1: not JSON (Exceeds the limit"),
        (lines([HUB]), "line 1: '[{"),
        (lines([["mr", "a(b[c])"], ["ref", "Doom"]]), "is not a JSON object; write one a line"),
        (b"gem_id,mr,ref\n", "line 1: not JSON (Expecting value)"),
        (lines({}), "line 1: no column 'mr', found nothing"),
        (lines({"mr": "a(b[c])", "text": "Doom"}), "line 1: no column 'ref', found 'mr, text'"),
        (lines(HUB | {"ref": "Doom"}), "line 1: columns 'target' and 'ref' can both be the sentence"),
        (b'{"mr": "a(b[c])", "ref": "Doom", "mr": "a(b[d])"}', "line 1: columns 'mr' and 'mr' can both be"),
        (
            lines(HUB, READ),
            "line 2: this row has id, meaning_representation, sentence, but that of line 1 gem_id, "
            "meaning_representation, target; give all rows the same keys",
        ),
        (lines(HUB, {key: HUB[key] for key in HUB if key != "gem_id"}), "line 2: this row has meaning_rep"),
        (lines(HUB | {"target": None}), "line 1: column target is not a text; write one in quotes"),
        (lines(HUB | {"target": ["Doom"]}), "line 1: column target is not a text"),
        (lines(HUB | {"target": 7}), "line 1: column target is not a text"),
        (lines(HUB | {"gem_id": True}), "line 1: column gem_id is not a text"),
        (lines(HUB | {"gem_id": " "}), "line 1: column gem_id is empty"),
        (
            lines(HUB | {"target": "\ud800"}),
            r"line 1: column target: '\ud800' holds half of a surrogate pair",
        ),
        (
            lines(HUB | {"meaning_representation": "a(b[c\n])"}),
            "line 1: column meaning_representation: 'a(b[",
        ),
        (lines(HUB, HUB), "line 2: gem_id 'one' is that of line 1; make it unique"),
        (lines(HUB | {"gem_id": 1}, HUB | {"gem_id": "1"}), "line 2: gem_id '1' is that of line 1"),
        (lines(HUB).replace(b"Doom", b"\xe9"), "line 1: byte "),
        (lines(HUB).decode().encode("utf-16"), "line 1: byte 0 of the file, 0xff, is not UTF-8"),
    ],
)
def test_what_is_wrong_in_json_lines_is_said_with_its_line(tmp_path, content, message):
    (tmp_path / "a.jsonl").write_bytes(content)
    said = refusal(tmp_path / "a.jsonl")
    assert message in said and len(said) < 600

from viggo_pipe.core.journal import Journal


def test_a_journal_forgets_only_what_was_cut_off(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        journal.add({0: "a\nb", 1: "é"})
    with open(tmp_path / "journal", "ab") as file:
        file.write(b'[2, "cut o')
    with Journal(tmp_path / "journal") as journal:
        assert journal.entries == {0: "a\nb", 1: "é"}
        journal.add({2: "c"})
    with Journal(tmp_path / "journal") as journal:
        assert journal.entries == {0: "a\nb", 1: "é", 2: "c"}


def test_a_journal_forgets_a_damaged_line_and_what_follows_it(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        journal.add({0: "a", 1: "b", 2: "c"})
    path = tmp_path / "journal"
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"d"'))
    with Journal(path) as journal:
        assert journal.entries == {0: "a"}
        journal.add({1: "b"})
    with Journal(path) as journal:
        assert journal.entries == {0: "a", 1: "b"}

from viggo_pipe.core.progress import Progress


def test_plain_progress_prints_lines_and_a_bar_draws_one(capsys):
    with Progress("count", 2, "plain") as progress:
        progress.advance(2, note="loss 1")
    assert capsys.readouterr() == ("", "")  # done at once: nothing worth a line
    with Progress("count", 2, "plain") as progress:
        progress.advance(1, note="loss 1")
    assert capsys.readouterr().out.startswith("count: 1/2, 0 s, about 0 s left, loss 1\n")
    with Progress("count", 2, "bar") as progress:
        progress.advance(2)
    assert "2/2" in capsys.readouterr().err

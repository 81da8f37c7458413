"""`viggo params` explains params.yaml."""

import yaml
from helpers.project import Project

from viggo_pipe.cli.main import main


def test_every_key_stands_on_one_line_above_its_meaning(tmp_path, monkeypatch, capsys):
    project = Project(tmp_path)
    project.set(prompt={"template": "Satz: {sentence}\n\nBedeutung für ihn:\n"})
    monkeypatch.chdir(tmp_path)
    assert main(["params"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = next(line for line in lines if line.startswith("prompt.template = "))
    assert yaml.safe_load(shown.split(" = ", 1)[1]) == "Satz: {sentence}\n\nBedeutung für ihn:\n"
    where = lines.index("train.optim = adamw_torch")
    assert lines[where + 1].startswith("    Optimizer. One of: adamw_torch, ")
    assert all(" = " in line or line.startswith(("#", "    ")) or not line for line in lines)


def test_a_bad_file_is_one_line(tmp_path, monkeypatch, capsys):
    Project(tmp_path).set(lora={"alpha": 3})
    monkeypatch.chdir(tmp_path)
    assert main(["params"]) == 2
    assert "rename lora.alpha to lora.lora_alpha" in capsys.readouterr().err

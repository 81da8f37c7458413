"""`viggo use` never loses a params.yaml with values of its own."""

import pytest
from helpers.project import Project

from viggo_pipe.cli.main import main
from viggo_pipe.config import profiles


@pytest.fixture
def project(tmp_path, monkeypatch):
    project = Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return project


def test_every_changed_file_has_a_backup_of_its_own(project, capsys):
    kept = []
    for rank, backup in ((77, "params.yaml.bak"), (78, "params.yaml.bak.1"), (79, "params.yaml.bak.2")):
        project.set(lora={"r": rank})
        kept.append((project.folder / backup, (project.folder / "params.yaml").read_bytes()))
        assert main(["use", "smollm2-135m"]) == 0
        assert f"kept as {backup}\n" in capsys.readouterr().out
    assert all(backup.read_bytes() == content for backup, content in kept)


def test_a_file_that_is_not_valid_is_kept_too(project):
    (project.folder / "params.yaml").write_text("lora: [", encoding="utf-8")
    assert main(["use", "quickstart"]) == 0
    assert (project.folder / "params.yaml.bak").read_text(encoding="utf-8") == "lora: ["


def test_a_kill_after_the_backup_leaves_params_yaml(project, monkeypatch):
    project.set(lora={"r": 77})
    before = (project.folder / "params.yaml").read_bytes()
    original = profiles.atomic_write

    def killed(path, *mode):
        if path == profiles.PARAMS_FILE:
            raise KeyboardInterrupt
        return original(path, *mode)

    monkeypatch.setattr(profiles, "atomic_write", killed)
    assert main(["use", "smollm2-135m"]) == 130
    assert (project.folder / "params.yaml").read_bytes() == before
    assert (project.folder / "params.yaml.bak").read_bytes() == before


def test_a_mistake_in_the_quickstart_is_not_blamed_on_the_profile(project, capsys):
    complete = project.folder / "profiles/quickstart.yaml"
    text = complete.read_text(encoding="utf-8")
    complete.write_text(text.replace("lora:\n", "lora:\n  rr: 1\n"), encoding="utf-8")
    assert main(["use", "mistral-7b"]) == 2
    assert "profiles/quickstart.yaml: unknown key lora.rr" in capsys.readouterr().err

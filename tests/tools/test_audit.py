import json
import os
import subprocess
import sys

import pytest
from helpers.imports import ROOT

FOUND = {
    "id": "PYSEC-2099-1",
    "aliases": ["CVE-2099-12345"],
    "fix_versions": ["2.0"],
    "description": "A hole.",
}


def audit(tmp_path, report: str, document: str = "") -> subprocess.CompletedProcess:
    """Run tools/audit.py with a pip-audit that prints `report`, and `document` as docs/security.md."""
    (tmp_path / "pip_audit.py").write_text(f"print({report!r})", encoding="utf-8")
    (tmp_path / "docs").mkdir(exist_ok=True)
    (tmp_path / "docs/security.md").write_text(document, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(ROOT / "tools/audit.py")]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)


def pins(*vulnerabilities, **more) -> str:
    first = {"name": "one", "version": "1.0", "vulns": list(vulnerabilities)}
    return json.dumps({"dependencies": [first, {"name": "other", **more} if more else first], "fixes": []})


@pytest.mark.parametrize(
    ("report", "document", "status", "words"),
    [
        (pins(), "", 0, "0 findings"),
        (pins(FOUND), "", 1, "one 1.0: PYSEC-2099-1, mended in 2.0"),
        (pins(FOUND), "CVE-2099-1234 is another", 1, "PYSEC-2099-1"),
        (pins(FOUND), "| CVE-2099-12345 | does not concern us |", 0, "which docs/security.md explains"),
        (pins(skip_reason="not found"), "", 2, "no answer for 1 of 2 packages (other"),
        ("requests.exceptions.ConnectionError", "", 2, "cannot be asked"),
    ],
)
def test_what_an_audit_comes_to(tmp_path, report, document, status, words):
    done = audit(tmp_path, report, document)
    assert done.returncode == status, done.stderr
    assert words in (done.stderr if status else done.stdout)
    assert "Traceback" not in done.stderr

"""Looks every pinned version up among the known vulnerabilities, with pip-audit: `make audit`.

Arguments go on to pip-audit: `--vulnerability-service osv` asks another database. Exit status 0: nothing is
known but what docs/security.md explains; 1: something else is; 2: it cannot be said, since a version could
not be looked up.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

PINS = "constraints.txt"
DOCUMENT = Path("docs/security.md")


def explained(document: str) -> set[str]:
    """The identifiers of vulnerabilities that `document` names."""
    return set(re.findall(r"\b(?:CVE-\d+-\d+|GHSA(?:-\w{4}){3}|PYSEC-\d+-\d+)\b", document))


def verdict(report: dict, known: set[str]) -> tuple[int, list[str]]:
    """The exit status for a report of pip-audit's, in its JSON, and what to say; `known` are the findings to
    let pass.

    A version that its database does not have is none without vulnerabilities: pip-audit alone would end with
    0.
    """
    skipped = [pin["name"] for pin in report["dependencies"] if "skip_reason" in pin]
    if skipped:
        of = len(report["dependencies"])
        return 2, [
            f"audit: the database has no answer for {len(skipped)} of {of} packages ({skipped[0]}, ...); "
            "check the network"
        ]
    findings = [(pin, found) for pin in report["dependencies"] for found in pin["vulns"]]
    new = [(pin, found) for pin, found in findings if not known & {found["id"], *found["aliases"]}]
    lines = [
        f"{pin['name']} {pin['version']}: {found['id']}, mended in "
        f"{', '.join(found['fix_versions']) or 'no version yet'}"
        for pin, found in new
    ]
    if new:
        return 1, [
            *lines,
            f"audit: {len(new)} findings; upgrade (make constraints), or explain them in {DOCUMENT}",
        ]
    return 0, [
        f"audit: {len(report['dependencies'])} packages, {len(findings)} findings, which {DOCUMENT} explains"
    ]


def main() -> int:
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--requirement",
        PINS,
        "--no-deps",
        "--disable-pip",
        "--format",
        "json",
    ]
    done = subprocess.run(
        [*command, "--progress-spinner", "off", *sys.argv[1:]], capture_output=True, text=True
    )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1].partition(":")[0][:100]
        print(
            f"audit: the database of vulnerabilities cannot be asked ({reason}); check the network",
            file=sys.stderr,
        )
        return 2
    status, lines = verdict(report, explained(DOCUMENT.read_text(encoding="utf-8")))
    print(*lines, sep="\n", file=sys.stderr if status else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main())

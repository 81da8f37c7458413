"""The import closure of a stage script, read from the source.

dvc.yaml must list it, for DVC does not follow imports (dvc#1401).
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "viggo_pipe"


def import_closure(script: str) -> set[str]:
    """`script` and the modules of the library that it imports, directly or not, as paths from the project's folder."""
    closure, waiting = set(), [script]
    while waiting:
        path = waiting.pop()
        if path in closure:
            continue
        closure.add(path)
        waiting += [found for name in _imported(ROOT / path) if (found := _source(name)) is not None]
    return closure


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import; write it out, so that it can be followed"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == PACKAGE}


def _source(module: str) -> str | None:
    for candidate in (f"src/{module.replace('.', '/')}.py", f"src/{module.replace('.', '/')}/__init__.py"):
        if (ROOT / candidate).is_file() and not candidate.endswith("__init__.py"):
            return candidate
    return None

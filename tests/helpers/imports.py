"""What the library's modules import of each other, read from the source.

DVC does not follow imports (dvc#1401).
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "src/viggo_pipe"


def module_imports(path: Path) -> set[Path]:
    """The library's modules that the file `path` imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import; write it out, so that it can be followed"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = {
        LIBRARY.parent / f"{name.replace('.', '/')}.py" for name in names if name.startswith("viggo_pipe.")
    }
    return {file for file in files if file.is_file()}


def import_closure(script: Path) -> set[Path]:
    """The library's modules that `script` imports, directly or not."""
    closure: set[Path] = set()
    waiting = [script]
    while waiting:
        found = module_imports(waiting.pop()) - closure
        closure |= found
        waiting += found
    return closure


def package_of(module: Path) -> str:
    """The package of the library that `module` is in."""
    return module.relative_to(LIBRARY).parts[0]

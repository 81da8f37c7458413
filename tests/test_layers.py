"""The library's packages are layers: each imports only from itself and from those above it in this list."""

import ast

import pytest
from helpers.imports import LIBRARY, module_imports, package_of

LAYERS = (
    "core",
    "config",
    "meaning",
    "data",
    "augment",
    "models",
    "tokens",
    "training",
    "decoding",
    "evaluation",
    "report",
    "cli",
)
MODULES = sorted(path for path in LIBRARY.rglob("*.py") if path.parent != LIBRARY)


@pytest.mark.parametrize("package", LAYERS)
def test_a_package_imports_from_earlier_layers_alone(package):
    allowed = LAYERS[: LAYERS.index(package) + 1]
    for module in (LIBRARY / package).rglob("*.py"):
        imported = {package_of(found) for found in module_imports(module)}
        assert imported <= set(allowed), f"{module} imports from a later layer"


def test_the_list_is_that_of_the_packages():
    folders = {path.name for path in LIBRARY.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(LAYERS)
    assert [path.name for path in LIBRARY.glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_a_module_fits_in_one_sitting(module):
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 250


def test_package_init_files_hold_no_code():
    """Importing a module must not import its neighbours."""
    for path in LIBRARY.rglob("__init__.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            is_version = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
            # What must come before every other import of the library, whichever module comes first.
            is_first = ast.unparse(node) == "import viggo_pipe.core.before_imports"
            assert is_docstring or is_version or is_first, f"{path} holds code; move it to a module"

"""What a command does first. Import it before the imports that take seconds, some of which would fail."""

import sys
from pathlib import Path

import viggo_pipe.core.signals  # noqa: F401
from viggo_pipe.core.environment import check_environment
from viggo_pipe.core.errors import InputError

try:
    check_environment()
except InputError as error:
    print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
    sys.exit(2)

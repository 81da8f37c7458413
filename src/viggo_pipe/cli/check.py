"""`viggo check`: what can be known to be wrong before anything long starts."""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from viggo_pipe.config.load import SECTIONS, Params, load_params
from viggo_pipe.config.profiles import current_profile
from viggo_pipe.core.errors import InputError
from viggo_pipe.models.cache import cache_folder

if TYPE_CHECKING:
    from viggo_pipe.cli.planning.sources import Sources

_GIB = 2**30
# The default run's outs and cache hold 30 MB, its model 0.5 GB in the user's cache. Checkpoints and a margin
# come on top.
_FREE_GIB = 1


def run(options: argparse.Namespace) -> None:
    """Print what is in order, a line each."""
    for line in check_everything():
        print(line, flush=True)


def check_everything() -> Iterator[str]:
    """Check params.yaml, disk, data, model and grammar; yield a line for each that is in order.

    What does not fit this machine is a warning, not an error: another one may be meant. The sources are read
    as the stages read them, so what is missing in the caches is downloaded.

    Raises:
        InputError: the first that is not in order.
    """
    params = load_params(*SECTIONS)
    _check_paths(params)
    profile = current_profile()
    yield f"params: valid, {f'the profile {profile}' if profile else 'changed from every profile'}"
    yield f"disk: {_check_disk():.0f} GiB free"

    # Their libraries take seconds to import, so what is wrong with params.yaml is said first.
    from viggo_pipe.cli.planning.advice import misfits
    from viggo_pipe.cli.planning.device import this_device
    from viggo_pipe.cli.planning.estimate import Estimate
    from viggo_pipe.cli.planning.model_check import check_model
    from viggo_pipe.cli.planning.sources import find_sources
    from viggo_pipe.models.loading import check_weights

    sources = find_sources(params)
    counts = ", ".join(f"{len(rows):,} {split}" for split, rows in sources.splits.items())
    yield f"dataset: source {params.dataset.source}, {counts}"
    base = sources.base
    yield f"model: source {params.model.source}, {base.name}" + (
        f" at {base.revision[:12]}" if base.revision else ""
    )
    if params.model.source != "hub":  # whose weights are not downloaded for this
        check_weights(base, params.quantize)
    if params.generate.constrain:
        yield _check_grammar(sources)
    estimate = Estimate(params, sources, this_device())
    yield check_model(estimate, sources)
    for misfit in misfits(estimate):
        yield f"warning: {misfit}"


def _check_paths(params: Params) -> None:
    """Check that DVC finds what stages depend on, whatever the sources are.

    Raises:
        InputError: it does not.
    """
    for key, path in {"dataset.path": params.dataset.path, "model.path": params.model.path}.items():
        if not Path(path).exists():
            raise InputError(
                f"{key}: there is no {path}, and stages depend on it, whatever the source; name one that "
                "exists, such as that of profiles/quickstart.yaml"
            )


def _check_grammar(sources: "Sources") -> str:
    """What the grammar admits of validation, which settings are chosen on. Test's references stay unread."""
    from viggo_pipe.decoding.constraint import Constraint
    from viggo_pipe.decoding.known_names import KnownNames

    names = KnownNames(row["meaning_representation"] for row in sources.splits["train"])
    constraint = Constraint(sources.tokenizer, names)
    rows = sources.splits["validation"]
    refused = constraint.refused(
        [row["sentence"] for row in rows], [row["meaning_representation"] for row in rows]
    )
    said = f"grammar: admits {len(rows) - len(refused):,} of {len(rows):,} references of validation"
    if refused:
        first = rows[refused[0]]
        said += (
            f"; no answer can match, for one, {first['meaning_representation']!r} of "
            f"{first['sentence']!r} ({first['id']})"
        )
        said += "; if there are many such, correct them, or set generate.constrain to false"
    return said


def _check_disk() -> float:
    """GiB free in the project's folder or in the model cache, whichever has less."""
    least = float("inf")
    for folder in (Path.cwd(), cache_folder()):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(existing).free / _GIB
        if free < _FREE_GIB:
            raise InputError(
                f"only {free:.1f} GiB free on the disk of {existing}; a run needs {_FREE_GIB} GiB: free some"
            )
        least = min(least, free)
    return least

"""`viggo use`: makes a profile the configuration."""

import argparse

from viggo_pipe.config.profiles import use_profile


def run(options: argparse.Namespace) -> None:
    """Write params.yaml from the profile, and say where the old one is kept, if it had changes of its own."""
    path, backup = use_profile(options.profile)
    if backup is not None:
        print(f"params.yaml had changes of its own: it is kept as {backup}")
    print(f"params.yaml has the values of {path}; `viggo check` checks its sources, `dvc repro` runs it")

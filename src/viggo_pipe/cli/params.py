"""`viggo params`: every key of params.yaml, its value and what it means."""

import argparse

from viggo_pipe.config.describe import describe
from viggo_pipe.config.load import SECTIONS, load_params


def run(options: argparse.Namespace) -> None:
    """Print the list."""
    print("\n".join(describe(load_params(*SECTIONS))))

"""`viggo plan`: the tokens, steps, memory and time that the current params.yaml takes."""

import argparse

from viggo_pipe.config.load import SECTIONS, load_params
from viggo_pipe.core.errors import InputError


def run(options: argparse.Namespace) -> None:
    """Print the plan, a line a subject.

    Raises:
        InputError: something does not fit on the device.
    """
    params = load_params(*SECTIONS)  # its errors show before the libraries are imported, which takes seconds

    from viggo_pipe.cli.planning.advice import misfits
    from viggo_pipe.cli.planning.device import GB, Device, this_device
    from viggo_pipe.cli.planning.estimate import Estimate
    from viggo_pipe.cli.planning.lines import plan_lines
    from viggo_pipe.cli.planning.sources import find_sources

    if options.memory is None:
        device = this_device()
    else:
        device = Device(f"a GPU of {options.memory:g} GB", options.memory * GB, True)
    estimate = Estimate(params, find_sources(params), device)
    for line in plan_lines(estimate):
        print(line, flush=True)
    found = list(misfits(estimate))
    if found:
        raise InputError("; ".join(found))

"""The command `viggo`: its arguments and its exit statuses.

`viggo NAME` calls `run(options)` of the module `viggo_pipe.cli.NAME`. That module is imported when it is
called, so that `viggo --help` answers at once.
"""

import viggo_pipe.core.entry_point  # noqa: F401, I001 (before the imports that take seconds)
import argparse
import importlib
import io
import os
import sys
from pathlib import Path

from viggo_pipe import __version__
from viggo_pipe.core.stage import reporting

ADAPTER = Path("models/adapter")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status: 0, 2 on bad input, 130 after Ctrl-C."""
    options = _argument_parser().parse_args(arguments)
    _prepare_stdout()
    return reporting("viggo", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    try:
        importlib.import_module(f"viggo_pipe.cli.{options.command}").run(options)
        sys.stdout.flush()
    except OSError as error:
        sys.stdout = None  # Python would complain once more when it closes it
        if not isinstance(error, BrokenPipeError):  # the reader (`head`, say) has gone: that is no error
            raise


def _prepare_stdout() -> None:
    if sys.stdout is None:  # closed, with `>&-`
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (for as long as the process lives)
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8


def _argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="viggo", description="Sentences about video games to ViGGO meaning representations."
    )
    parser.add_argument("--version", action="version", version=f"viggo-pipe {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    parse = commands.add_parser("parse", help="print the meaning representation of sentences")
    parse.add_argument(
        "sentences", nargs="*", metavar="SENTENCE", help="without any: one a line from standard input"
    )
    which = parse.add_mutually_exclusive_group()
    which.add_argument("--base", action="store_true", help="ask the base model, without the trained adapter")
    which.add_argument(
        "--adapter", metavar="FOLDER", default=ADAPTER, help=f"of the trained adapter; default: {ADAPTER}"
    )
    parse.add_argument(
        "--json", action="store_true", help="print a JSON object a line, with dialogue act and slots"
    )

    use = commands.add_parser("use", help="make profiles/NAME.yaml the configuration")
    use.add_argument(
        "profile", metavar="NAME", help="quickstart, smollm2-135m, mistral-7b or mistral-7b-seed"
    )

    commands.add_parser("params", help="print every key of params.yaml, its value and what it means")

    commands.add_parser(
        "check", help="check params.yaml, the disk space, the data and model sources, and the grammar"
    )

    plan = commands.add_parser(
        "plan", help="print the tokens, steps, memory and time that the current params.yaml takes"
    )
    plan.add_argument("--memory", type=_gigabytes, metavar="GB", help="of a GPU that is not in this machine")

    commands.add_parser("scores", help="print the scores of the base and the tuned model")

    record = commands.add_parser("record", help="save the workspace's run on ViGGO as results/NAME.json")
    record.add_argument("name", metavar="NAME", help="of the setting; runs of other seeds join it")

    commands.add_parser("results", help="print recorded runs beside the published figures")

    compare = commands.add_parser("compare", help="test the workspace's predictions against a recorded run's")
    compare.add_argument("name", metavar="NAME", help="of the setting in results/")
    compare.add_argument("--seed", type=int, help="of the recorded run; default: the first")
    return parser


def _gigabytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of gigabytes, such as 24")
    return value

"""The command `viggo`: parse sentences, switch profiles, check the configuration.

Each command imports what it needs when it runs, so that `viggo --help` answers at once.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from viggo_pipe import __version__
from viggo_pipe.errors import InputError

ADAPTER = Path("models/adapter")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status: 0, 2 on bad input, 130 after Ctrl-C."""
    options = _argument_parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except InputError as error:
        print(f"viggo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (`head`, say) has gone; Python would complain about it once more when it closes stdout.
        sys.stdout = None
    return 0


def _argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="viggo", description="Sentences about video games to ViGGO meaning representations.")
    parser.add_argument("--version", action="version", version=f"viggo-pipe {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    parse = commands.add_parser("parse", help="print the meaning representation of sentences")
    parse.add_argument("sentences", nargs="*", metavar="SENTENCE", help="without any: one a line from standard input")
    parse.add_argument("--base", action="store_true", help="ask the base model, without the trained adapter")
    parse.add_argument("--json", action="store_true", help="print a JSON object a line, with dialogue act and slots")
    parse.set_defaults(run=_parse)

    use = commands.add_parser("use", help="make profiles/NAME.yaml the configuration")
    use.add_argument("profile", metavar="NAME", help="quickstart, smollm2-135m, mistral-7b or mistral-7b-seed")
    use.set_defaults(run=_use)

    check = commands.add_parser("check", help="check params.yaml, the data and model sources and the disk space")
    check.set_defaults(run=_check)
    return parser


def _parse(options: argparse.Namespace) -> None:
    # Checked before anything is loaded, which takes seconds.
    from viggo_pipe.params import load_params

    params = load_params("model", "quantize", "prompt", "generate")
    sentences = [line for line in map(str.strip, options.sentences or _lines_of_stdin()) if line]
    if not sentences:
        raise InputError('no sentence to parse: name one (viggo parse "Have you played Portal 2?"), or pipe in one a line')

    from viggo_pipe.inference import Parser

    parser = Parser(params.model, params.quantize, params.prompt, None if options.base else ADAPTER)
    for sentence, answer in zip(sentences, parser.parse(sentences, params.generate), strict=True):
        print(_as_json(sentence, answer) if options.json else answer)


def _lines_of_stdin() -> Iterable[str]:
    if sys.stdin is None or sys.stdin.isatty():
        return []
    try:
        return sys.stdin.read().splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is not UTF-8 ({error.reason}); convert it first") from error


def _as_json(sentence: str, answer: str) -> str:
    from viggo_pipe.meaning import MeaningError, parse

    row = {"sentence": sentence, "meaning_representation": answer, "well_formed": True, "dialogue_act": None, "slots": []}
    try:
        meaning = parse(answer)
    except MeaningError:
        row["well_formed"] = False
    else:
        row["dialogue_act"] = meaning.act
        row["slots"] = [slot._asdict() for slot in meaning.slots]
    return json.dumps(row, ensure_ascii=False)


def _use(options: argparse.Namespace) -> None:
    from viggo_pipe.profiles import use_profile

    print(f"params.yaml is now {use_profile(options.profile)}; `viggo check` checks its sources, `dvc repro` runs it")


def _check(options: argparse.Namespace) -> None:
    from viggo_pipe.check import check_everything

    for line in check_everything():
        print(line, flush=True)

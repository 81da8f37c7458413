"""The command `viggo`: parse sentences, switch profiles, check the configuration, record runs and compare them.

Each command imports what it needs when it runs, so that `viggo --help` answers at once.
"""

import viggo_pipe.interrupt  # noqa: F401, I001 (before the imports that take seconds)
import argparse
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from viggo_pipe import __version__
from viggo_pipe.errors import InputError, one_line
from viggo_pipe.interrupt import INTERRUPTED, Interruptible

ADAPTER = Path("models/adapter")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status: 0, 2 on bad input, 130 after Ctrl-C."""
    options = _argument_parser().parse_args(arguments)
    if sys.stdout is None:  # closed, with `>&-`
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (for as long as the process lives)
    elif hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8
    try:
        with Interruptible():
            options.run(options)
            sys.stdout.flush()
    except InputError as error:
        print(f"viggo: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("viggo: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`, say) has gone; Python would complain about it once more when it closes stdout.
        sys.stdout = None
    except OSError as error:
        print(f"viggo: {one_line(error)}; check that path, its permissions and the space left", file=sys.stderr)
        sys.stdout = None
        return 2
    return 0


def _argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="viggo", description="Sentences about video games to ViGGO meaning representations.")
    parser.add_argument("--version", action="version", version=f"viggo-pipe {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    parse = commands.add_parser("parse", help="print the meaning representation of sentences")
    parse.add_argument("sentences", nargs="*", metavar="SENTENCE", help="without any: one a line from standard input")
    which = parse.add_mutually_exclusive_group()
    which.add_argument("--base", action="store_true", help="ask the base model, without the trained adapter")
    which.add_argument("--adapter", metavar="FOLDER", default=ADAPTER, help=f"of the trained adapter; default: {ADAPTER}")
    parse.add_argument("--json", action="store_true", help="print a JSON object a line, with dialogue act and slots")
    parse.set_defaults(run=_parse)

    use = commands.add_parser("use", help="make profiles/NAME.yaml the configuration")
    use.add_argument("profile", metavar="NAME", help="quickstart, smollm2-135m, mistral-7b or mistral-7b-seed")
    use.set_defaults(run=_use)

    check = commands.add_parser("check", help="check params.yaml, the disk space, the data and model sources, and the grammar")
    check.set_defaults(run=_check)

    plan = commands.add_parser("plan", help="print the tokens, steps, memory and time that the current params.yaml takes")
    plan.add_argument("--memory", type=_gigabytes, metavar="GB", help="of a GPU that is not in this machine")
    plan.set_defaults(run=_plan)

    scores = commands.add_parser("scores", help="print the scores of the base and the tuned model")
    scores.set_defaults(run=_scores)

    record = commands.add_parser("record", help="save the workspace's run on ViGGO as results/NAME.json")
    record.add_argument("name", metavar="NAME", help="of the setting; runs of other seeds join it")
    record.set_defaults(run=_record)

    results = commands.add_parser("results", help="print recorded runs beside the published figures")
    results.set_defaults(run=_results)

    compare = commands.add_parser("compare", help="test the workspace's predictions against a recorded run's")
    compare.add_argument("name", metavar="NAME", help="of the setting in results/")
    compare.add_argument("--seed", type=int, help="of the recorded run; default: the first")
    compare.set_defaults(run=_compare)
    return parser


def _parse(options: argparse.Namespace) -> None:
    # Checked before anything is loaded, which takes seconds.
    from viggo_pipe.params import load_params

    params = load_params("model", "quantize", "prompt", "generate")
    sentences = [line for line in map(str.strip, options.sentences or _lines_of_stdin()) if line]
    if not sentences:
        raise InputError('no sentence to parse: name one (viggo parse "Have you played Portal 2?"), or pipe in one a line')

    for sentence in sentences:
        try:
            sentence.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"{sentence[:80]!a} is not UTF-8 ({error.reason}); convert it first") from error

    from viggo_pipe.inference import Parser

    parser = Parser(params, sentences, None if options.base else options.adapter)
    for sentence, answer in zip(sentences, parser.parse(), strict=True):
        print(_as_json(sentence, answer) if options.json else answer)


def _lines_of_stdin() -> Iterable[str]:
    if sys.stdin is None or sys.stdin.isatty():
        return []
    try:
        return sys.stdin.read().split("\n")  # and at no other character that Unicode takes for a line's end
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is not UTF-8 ({error.reason}); convert it first") from error


def _as_json(sentence: str, answer: str) -> str:
    from viggo_pipe.meaning import MeaningError, parse
    from viggo_pipe.scoring import judge

    row = {
        "sentence": sentence,
        "meaning_representation": answer,
        "well_formed": True,
        "in_ontology": False,
        "dialogue_act": None,
        "slots": [],
    }
    try:
        meaning = parse(answer)
    except MeaningError:
        row["well_formed"] = False
    else:
        row["in_ontology"] = judge(sentence, answer, answer).in_ontology
        row["dialogue_act"] = meaning.act
        row["slots"] = [slot._asdict() for slot in meaning.slots]
    return json.dumps(row, ensure_ascii=False)


def _use(options: argparse.Namespace) -> None:
    from viggo_pipe.profiles import use_profile

    path, backup = use_profile(options.profile)
    if backup is not None:
        print(f"params.yaml had changes of its own: it is kept as {backup}")
    print(f"params.yaml is now {path}; `viggo check` checks its sources, `dvc repro` runs it")


def _gigabytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of gigabytes, such as 24")
    return value


def _plan(options: argparse.Namespace) -> None:
    from viggo_pipe.params import SECTIONS, load_params

    params = load_params(*SECTIONS)
    from viggo_pipe.plan import Device, Plan, find_sources, this_device

    device = this_device() if options.memory is None else Device(f"a GPU of {options.memory:g} GB", options.memory * 1e9, True)
    plan = Plan(params, find_sources(params), device)
    for line in plan.lines():
        print(line, flush=True)
    if misfits := list(plan.misfits()):
        raise InputError("; ".join(misfits))


def _scores(options: argparse.Namespace) -> None:
    from viggo_pipe.dvc_files import read_metrics
    from viggo_pipe.headline import headline, headline_table, probe_rows, probe_table
    from viggo_pipe.params import load_params
    from viggo_pipe.provenance import data_provenance

    params = load_params("dataset", "generate")
    base, tuned = read_metrics("metrics/base.json"), read_metrics("metrics/tuned.json")
    probes = probe_rows(read_metrics("metrics/probes.json"))
    for line in (*headline_table(headline(base, tuned)), "", *probe_table(probes), ""):
        print(line)
    locked, split = _locked("fetch", "dataset"), (_locked("predict@tuned", "generate") or {}).get("split")
    if locked in (None, params.dataset.model_dump()) and split in (None, params.generate.split):
        print(f"{tuned['examples']:,} examples of the {params.generate.split} split. {data_provenance(params.dataset).note}")
    else:
        print(
            f"{tuned['examples']:,} examples. dvc.lock has other data or another split than params.yaml, so it is not known what "
            "these figures are of; run `dvc repro`"
        )


def _locked(stage: str, section: str) -> dict | None:
    """The section of params.yaml that a stage last ran with, as dvc.lock has it; None where that cannot be said."""
    import yaml

    try:
        return yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8"))["stages"][stage]["params"]["params.yaml"][section]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return None


def _record(options: argparse.Namespace) -> None:
    from viggo_pipe.results import record_run

    print(f"recorded in {record_run(options.name)}; `viggo results` shows the table")


def _results(options: argparse.Namespace) -> None:
    from viggo_pipe.results import results_table

    print("\n".join(results_table()))


def _compare(options: argparse.Namespace) -> None:
    from viggo_pipe.results import compare_with_recorded

    outcomes = compare_with_recorded(options.name, options.seed)
    print(
        f"{outcomes.examples:,} examples: {outcomes.only_first_right} right only as recorded, "
        f"{outcomes.only_second_right} only now; exact match {100 * outcomes.difference:+.1f} points, "
        f"McNemar's exact p = {outcomes.mcnemar_p():.4g}"
    )


def _check(options: argparse.Namespace) -> None:
    from viggo_pipe.check import check_everything

    for line in check_everything():
        print(line, flush=True)

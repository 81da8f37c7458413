"""`viggo parse`: the meaning representations of sentences."""

import argparse
import json
import sys
from collections.abc import Iterable

from viggo_pipe.config.load import load_params
from viggo_pipe.core.errors import InputError


def run(options: argparse.Namespace) -> None:
    """Print an answer a line, for each sentence."""
    # What can be wrong is looked for before the libraries are loaded, which takes seconds.
    params = load_params("model", "quantize", "prompt", "generate")
    sentences = [line for line in map(str.strip, options.sentences or _lines_of_stdin()) if line]
    if not sentences:
        raise InputError(
            'no sentence to parse: name one (viggo parse "Have you played Portal 2?"), or pipe in one a line'
        )
    for sentence in sentences:
        try:
            sentence.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"{sentence[:80]!a} is not UTF-8 ({error.reason}); convert it first") from error

    from viggo_pipe.decoding.parser import Parser

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
    from viggo_pipe.evaluation.scoring import judge
    from viggo_pipe.meaning.syntax import MeaningError, parse

    try:
        meaning = parse(answer)
    except MeaningError:
        meaning = None
    row = {
        "sentence": sentence,
        "meaning_representation": answer,
        "well_formed": meaning is not None,
        "in_ontology": meaning is not None and judge(sentence, answer, answer).in_ontology,
        "dialogue_act": meaning.act if meaning else None,
        "slots": [slot._asdict() for slot in meaning.slots] if meaning else [],
    }
    return json.dumps(row, ensure_ascii=False)

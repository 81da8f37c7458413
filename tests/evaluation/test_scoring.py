import random

import pytest
from helpers.independent_scorer import score
from helpers.meanings import examples
from helpers.viggo_files import viggo_rows
from hypothesis import given
from hypothesis import strategies as st

from viggo_pipe.config.settings.score import ScoreSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.evaluation.metrics import MetricAccumulator
from viggo_pipe.evaluation.scoring import ErrorKind, exact_match, judge
from viggo_pipe.meaning.syntax import Slot

SENTENCE = "I liked the fast-paced shooter Portal 2 on PC and Xbox."
REFERENCE = (
    "give_opinion(name[Portal 2], rating[good], genres[puzzle, shooter], platforms[Xbox, PC], "
    "specifier[fast-paced])"
)
FEW_RESAMPLES = ScoreSettings(bootstrap_resamples=10, bootstrap_seed=0)


def metrics_of(rows):
    counts = MetricAccumulator()
    for row in rows:
        counts.add(judge(row["sentence"], row["reference"], row["prediction"]))
    return counts.metrics(FEW_RESAMPLES)


def assert_agrees_with_the_independent_scorer(rows):
    metrics, expected = metrics_of(rows), score(rows)
    assert {name: metrics[name] for name in expected} == expected
    assert set(metrics) - set(expected) == {
        "exact_match_low",
        "exact_match_high",
        "slot_f1_low",
        "slot_f1_high",
    }


def test_exact_match_looks_past_white_space_at_the_ends_only():
    assert exact_match("inform(name[x])", " inform(name[x])\n")
    assert not exact_match("inform(name[x])", "inform(name[x ])")
    assert not exact_match("inform(name[x])", "inform(name[X])")


def test_an_exact_match_has_no_error():
    judgement = judge(SENTENCE, REFERENCE, f" {REFERENCE}\n")
    assert judgement.exact and judgement.unordered and judgement.well_formed and judgement.in_ontology
    assert judgement.act_correct and judgement.attributes_correct
    assert (judgement.missing, judgement.extra, judgement.hallucinated, judgement.errors) == ((), (), (), ())
    assert len(judgement.correct) == 7
    assert judgement.open_values == 2


@pytest.mark.parametrize(
    ("before", "after", "missing", "extra", "errors"),
    [
        ("give_opinion", "inform", [], [], [ErrorKind.WRONG_ACT]),
        ("[good]", "[poor]", [("rating", "good")], [("rating", "poor")], [ErrorKind.WRONG_VALUE]),
        ("puzzle, ", "", [("genres", "puzzle")], [], [ErrorKind.WRONG_VALUE]),
        ("[Xbox, PC]", "[PC, Xbox]", [], [], [ErrorKind.WRONG_ORDER]),
        ("platforms[Xbox, PC]", "platforms[Xbox], platforms[PC]", [], [], [ErrorKind.WRONG_ORDER]),
        ("rating[good], ", "", [("rating", "good")], [], [ErrorKind.MISSING_ATTRIBUTE]),
        (
            "rating[good]",
            "rating[good], has_multiplayer[no]",
            [],
            [("has_multiplayer", "no")],
            [ErrorKind.EXTRA_ATTRIBUTE],
        ),
        ("rating[good]", "rating[good], rating[good]", [], [("rating", "good")], [ErrorKind.WRONG_VALUE]),
        (
            "rating[good]",
            "rating[better]",
            [("rating", "good")],
            [("rating", "better")],
            [ErrorKind.WRONG_VALUE, ErrorKind.OUTSIDE_ONTOLOGY],
        ),
        (
            "rating[good]",
            "mood[good]",
            [("rating", "good")],
            [("mood", "good")],
            [ErrorKind.MISSING_ATTRIBUTE, ErrorKind.EXTRA_ATTRIBUTE, ErrorKind.OUTSIDE_ONTOLOGY],
        ),
        ("give_opinion", "praise", [], [], [ErrorKind.WRONG_ACT, ErrorKind.OUTSIDE_ONTOLOGY]),
        (
            "good",
            "",
            [("rating", "good")],
            [("rating", "")],
            [ErrorKind.WRONG_VALUE, ErrorKind.OUTSIDE_ONTOLOGY],
        ),
        (
            "Portal 2",
            "Portal 3",
            [("name", "Portal 2")],
            [("name", "Portal 3")],
            [ErrorKind.WRONG_VALUE, ErrorKind.HALLUCINATED_VALUE],
        ),
    ],
)
def test_each_kind_of_error(before, after, missing, extra, errors):
    assert before in REFERENCE
    judgement = judge(SENTENCE, REFERENCE, REFERENCE.replace(before, after, 1))
    assert judgement.missing == tuple(Slot(*slot) for slot in missing)
    assert judgement.extra == tuple(Slot(*slot) for slot in extra)
    assert judgement.errors == tuple(errors)
    assert not judgement.exact


def test_what_does_not_parse_is_wrong_everywhere():
    judgement = judge(SENTENCE, REFERENCE, REFERENCE[:-1])
    assert judgement.errors == (ErrorKind.NOT_WELL_FORMED,)
    assert judgement.predicted_act is None
    assert not (
        judgement.exact or judgement.unordered or judgement.attributes_correct or judgement.in_ontology
    )
    assert (len(judgement.missing), judgement.correct, judgement.extra) == (7, (), ())


def test_a_hallucinated_value_is_looked_for_without_case_and_white_space():
    reference = "inform(name[The  SIMS 3], developer[EA])"
    assert judge("Sea of the\nsims 3", reference, reference).hallucinated == ()
    assert judge("STRASSE", "request(specifier[Straße])", "request(specifier[straße])").hallucinated == ()
    assert judge("The Sims", reference, reference).hallucinated == (
        Slot("name", "The  SIMS 3"),
        Slot("developer", "EA"),
    )


def test_an_empty_value_is_known_only_where_it_is_asked_for():
    assert judge("", "request_attribute(esrb[])", "request_attribute(esrb[])").in_ontology
    assert not judge("", "request_attribute(esrb[])", "confirm(esrb[])").in_ontology
    assert judge("", "request_attribute(name[])", "request_attribute(name[])").open_values == 0


def test_a_reference_that_is_no_meaning_is_bad_input():
    message = (
        r"the reference 'inform\(name' is not a meaning representation.*at character 11; "
        r"mend it in the dataset"
    )
    with pytest.raises(InputError, match=message):
        judge("", "inform(name", "inform(name[x])")


@given(examples())
def test_judgements_are_consistent(row):
    judgement = judge(row["sentence"], row["reference"], row["prediction"])
    assert judgement.unordered or not judgement.exact
    if judgement.unordered:
        assert (
            judgement.act_correct
            and judgement.attributes_correct
            and not judgement.missing
            and not judgement.extra
        )
    assert judgement.exact or judgement.errors
    assert judgement.well_formed or not (judgement.in_ontology or judgement.correct or judgement.extra)


@given(st.lists(examples(), min_size=1, max_size=4))
def test_the_metrics_agree_with_the_independent_scorer(rows):
    assert_agrees_with_the_independent_scorer(rows)


@pytest.mark.slow
@pytest.mark.viggo
def test_the_metrics_agree_with_the_independent_scorer_on_damaged_gold(viggo_folder):
    source = random.Random(0)
    gold = viggo_rows(viggo_folder)
    swaps = [("inform", "suggest"), ("yes", "no"), ("good", "better"), ("PC", "pc"), (", ", ","), ("]", "")]
    swaps += [("20", "19"), ("name[", "title[")]
    rows = []
    for row in gold:
        prediction = source.choice([row["mr"], row["mr"], row["mr"], source.choice(gold)["mr"]])
        if source.random() < 0.5:
            prediction = prediction.replace(*source.choice(swaps), source.randint(1, 2))
        rows.append({"sentence": row["ref"], "reference": row["mr"], "prediction": prediction})
    assert 0.2 < metrics_of(rows)["exact_match"] < 0.8
    assert_agrees_with_the_independent_scorer(rows)


@pytest.mark.viggo
def test_gold_predictions_are_perfect_but_for_three_values_that_their_sentences_spell_otherwise(viggo_folder):
    rows = [
        {"sentence": row["ref"], "reference": row["mr"], "prediction": row["mr"]}
        for row in viggo_rows(viggo_folder)
    ]
    judgements = [judge(**row) for row in rows]
    assert [slot for judgement in judgements for slot in judgement.hallucinated] == [
        Slot("release_year", "2009"),
        Slot("name", "Need for Speed: Payback"),
        Slot("specifier", "fast-paced"),
    ]
    metrics = metrics_of(rows)
    assert metrics.pop("examples") == 6900
    assert metrics.pop("hallucinated_values") == round(3 / 10575, 4)
    assert set(metrics.values()) == {1.0}

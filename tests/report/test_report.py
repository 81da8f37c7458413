import base64
import hashlib
import html
import json
import re

import pytest
import yaml
from helpers.report_workspace import GENERATE, MODEL, ROWS, SCRIPT, dataset_settings, write_workspace

from viggo_pipe.core.errors import InputError
from viggo_pipe.data.provenance import VIGGO_SHA256
from viggo_pipe.report.charts import HEIGHT, WIDTH, length_histogram, loss_chart
from viggo_pipe.report.data import read_report_data
from viggo_pipe.report.model_card import render_model_card
from viggo_pipe.report.render import render_page


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_workspace(tmp_path)
    return tmp_path


@pytest.fixture
def data(workspace):
    return read_report_data(dataset_settings(), MODEL, GENERATE)


def marked(segments):
    return [text for text, differs in segments if differs]


def test_segments_are_the_texts_and_mark_what_differs(data):
    for example, row in zip(data.examples, ROWS, strict=True):
        assert (
            example["sentence"],
            *("".join(text for text, _ in example[key]) for key in ("gold",)),
        ) == row[:2]
        for which, prediction in (("base", row[2]), ("tuned", row[3])):
            assert "".join(text for text, _ in example[which]["text"]) == prediction
    right, rating, platforms, attack, act = data.examples
    assert marked(right["gold"]) == marked(right["tuned"]["text"]) == [] and right["tuned"]["exact"]
    assert marked(right["base"]["text"]) == [ROWS[0][2]]
    assert (marked(rating["gold"]), marked(rating["tuned"]["text"])) == (["excellent"], ["good"])
    assert (marked(platforms["gold"]), marked(platforms["tuned"]["text"])) == (["Xbox"], [])
    assert marked(attack["tuned"]["text"]) == [SCRIPT] and attack["tuned"]["errors"] == ["not well-formed"]
    assert (marked(act["gold"]), marked(act["tuned"]["text"])) == (
        ["suggest"],
        ["recommend", "M (for Mature)"],
    )


def test_robustness_stands_beside_the_scores(data):
    assert [(row.label, row.examples, row.exact_match) for row in data.robustness] == [
        ("Typing slips", 5, 0.4),
        ("Unseen names", 5, 0.4),
    ]
    assert re.search(r"Typing slips</th><td>5</td><td><strong>40\.0", render_page(data))
    assert "| Typing slips | 5 | 0.4000 (0.2000 to 0.6000) |" in render_model_card(
        data, dataset_settings(), MODEL
    )


def test_what_is_still_wrong_is_counted(data):
    assert dict(data.error_kinds)["wrong value"] == 2
    found = {(mistake.attribute, mistake.gold, mistake.predicted): mistake.count for mistake in data.mistakes}
    assert found == {
        ("rating", "excellent", "good"): 1,
        ("platforms", "Xbox", ""): 1,
        ("esrb", "", "M (for Mature)"): 1,
    }
    assert ("suggest", "recommend", 1) in data.confused_acts


def test_an_empty_slot_is_told_from_no_slot(workspace):
    rows = [
        (
            "Which one?",
            "request_attribute(platforms[])",
            "request_attribute(esrb[])",
            "request_attribute(esrb[])",
        ),
        (
            "Is it?",
            "inform(name[Doom])",
            "inform(platforms[PC])",
            "inform(name[ ], platforms[], genres[PC, ])",
        ),
    ]
    write_workspace(workspace, rows)
    data = read_report_data(dataset_settings(), MODEL, GENERATE)
    found = {(mistake.attribute, mistake.gold, mistake.predicted) for mistake in data.mistakes}
    assert found == {
        ("platforms", "platforms[]", ""),
        ("esrb", "", "esrb[]"),
        ("name", "Doom", "name[ ]"),
        ("platforms", "", "platforms[]"),
        ("genres", "", "PC, genres[]"),
    }
    page = render_page(data)
    assert "<td>platforms</td><td>platforms[]</td><td>(none)</td><td>1</td>" in page
    assert "<td>platforms</td><td>(none)</td><td>platforms[]</td><td>1</td>" in page
    asked, told = data.examples
    assert (marked(asked["gold"]), marked(asked["tuned"]["text"])) == (["platforms[]"], ["esrb[]"])
    assert marked(told["tuned"]["text"]) == [" ", "platforms[]", "genres[PC, ]"]


def test_nothing_of_the_data_or_the_model_becomes_markup(data):
    page = render_page(data)
    assert "window.attacked" in page
    assert "<script>window" not in page and "<img" not in page
    held = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(held) == json.loads(json.dumps(data.examples))
    assert page.count("<script") == page.count("</script>") == 2


def test_the_pages_policy_lets_its_own_script_run_and_nothing_be_loaded(data):
    page = render_page(data)
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert policy.end() < page.index("<style") < page.index("<script")
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_page_needs_no_network(data):
    page = render_page(data)
    assert not re.search(
        r"""(?:src|href)\s*=|url\(|@import|https?:""",
        page.replace(html.escape(SCRIPT), "").replace("src=x", ""),
    )


def test_the_page_says_whose_figures_it_shows(data, workspace):
    assert "not ViGGO&#39;s" in render_page(data)
    viggo = read_report_data(dataset_settings(source="hub", sha256=VIGGO_SHA256), MODEL, GENERATE)
    assert "These figures are ViGGO&#39;s" in render_page(viggo)
    own = read_report_data(dataset_settings(source="local"), MODEL, GENERATE)
    assert "not verified to be ViGGO&#39;s" in render_page(own)


def card_metadata(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_the_model_card_names_its_metrics_after_their_data(data, workspace):
    dataset = dataset_settings()
    card = card_metadata(render_model_card(data, dataset, MODEL))
    (result,) = card["model-index"][0]["results"]
    tuned = json.loads((workspace / "metrics/tuned.json").read_text(encoding="utf-8"))
    assert result["dataset"] == {"name": "synthetic sample", "type": "other", "split": "test"}
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {
        key: tuned[key] for key in ("exact_match", "slot_f1", "dialogue_act_accuracy")
    }
    assert card["base_model"] == MODEL.repo and card["library_name"] == "peft" and "datasets" not in card

    dataset = dataset_settings(source="hub", sha256=VIGGO_SHA256)
    card = card_metadata(render_model_card(read_report_data(dataset, MODEL, GENERATE), dataset, MODEL))
    assert card["datasets"] == ["GEM/viggo"]
    assert card["model-index"][0]["results"][0]["dataset"]["type"] == "GEM/viggo"


@pytest.mark.parametrize("missing", ["metrics/comparison.json", "plots/loss.csv", "predictions/tuned.jsonl"])
def test_a_missing_file_is_named(workspace, missing):
    (workspace / missing).unlink()
    with pytest.raises(InputError, match=missing):
        read_report_data(dataset_settings(), MODEL, GENERATE)


def test_charts_stay_within_their_drawing():
    losses = [
        {"step": 1.0, "train_loss": 3.0, "validation_loss": None},
        {"step": 9.0, "train_loss": 1e-7, "validation_loss": 0.0},
    ]
    chart = loss_chart(losses)
    assert set(chart.lines) == {"training"}
    lengths = [
        {"split": "train", "tokens": 8 * number, "rows": number, "max_length": 900} for number in range(1, 20)
    ]
    histogram = length_histogram(lengths, "train", 900)
    points = [point for line in chart.lines.values() for point in line] + [bar[:2] for bar in histogram.bars]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert histogram.bars[-1][0] < histogram.marked <= WIDTH
    assert loss_chart([{"step": 1.0, "train_loss": 0.0, "validation_loss": None}]) is None

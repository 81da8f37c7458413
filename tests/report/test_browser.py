"""The report in headless Chromium: `playwright` drives the one that is installed (VIGGO_CHROMIUM names
another).
"""

import os
import shutil

import pytest
from helpers.report_workspace import GENERATE, MODEL, ROWS, SCRIPT, dataset_settings, write_workspace

from viggo_pipe.report.data import read_report_data
from viggo_pipe.report.render import render_page

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("VIGGO_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "google-chrome"))), None
)
MANY = [
    *ROWS,
    *(
        (f"Sentence {number}.", "request(specifier[fun])", "", "request(specifier[funny])")
        for number in range(120)
    ),
]


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_workspace(tmp_path, MANY)
    path = tmp_path / "report.html"
    path.write_text(render_page(read_report_data(dataset_settings(), MODEL, GENERATE)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def page(browser, url):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.problems.append(request.url) if request.url != url else None)
    page.goto(url)
    yield page
    assert page.problems == []
    page.close()


def count(page):
    return page.locator("#count").inner_text()


def test_it_opens_with_the_errors_of_the_tuned_model(page):
    assert count(page) == "124 of 125 examples"
    assert page.locator("#list li").count() == 50
    page.get_by_role("button", name="Show more").click()
    assert page.locator("#list li").count() == 100
    assert (
        page.locator("#provenance")
        .inner_text()
        .startswith("These figures are the synthetic sample's, not ViGGO's")
    )


def test_a_prediction_that_holds_a_script_shows_as_text(page):
    page.get_by_label("Search").fill("attack & more")
    assert count(page) == "1 of 125 examples"
    assert page.locator("#list li mark").inner_text() == SCRIPT
    assert page.evaluate("window.attacked") is None
    assert page.locator("img").count() == 0


def test_filters_narrow_one_another(page):
    page.locator("[name=outcome]").select_option("all")
    assert count(page) == "125 of 125 examples"
    page.locator("[name=act]").select_option("inform")
    assert count(page) == "2 of 125 examples"
    page.locator("[name=attribute]").select_option("platforms")
    assert count(page) == "1 of 125 examples"
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("document.getElementById('count').textContent.startsWith('124')")
    page.locator("[name=outcome]").select_option("lost")
    assert count(page) == "3 of 125 examples"


def test_a_kind_of_error_leads_to_its_examples(page):
    page.get_by_role("button", name="wrong dialogue act").click()
    page.wait_for_function("document.getElementById('count').textContent.startsWith('1 ')")
    assert page.locator("#list mark").all_inner_texts() == ["suggest", "recommend", "M (for Mature)"]


def test_it_can_be_used_without_a_mouse(page):
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "search"
    page.keyboard.type("sentence 77.")
    assert count(page) == "1 of 125 examples"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.matches('#list li')")
    page.get_by_label("Search").fill("")
    page.locator("#list li").first.focus()
    page.keyboard.press("j")
    assert page.evaluate("[...document.querySelectorAll('#list li')].indexOf(document.activeElement)") == 1
    page.keyboard.press("k")
    assert page.evaluate("[...document.querySelectorAll('#list li')].indexOf(document.activeElement)") == 0


def test_it_fits_a_phone(page):
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_text_stands_out_in_light_and_in_dark(page, scheme):
    page.emulate_media(color_scheme=scheme)
    for selector in ("body", "#list li", "#list mark", ".gold mark", ".tags", "button", "thead th"):
        assert contrast(page, selector) >= 4.5, selector


def contrast(page, selector):
    """The WCAG contrast ratio of an element's text and what is painted behind it."""
    colors = page.locator(selector).first.evaluate(
        """element => {
            let behind = element;
            const clear = 'rgba(0, 0, 0, 0)';
            while (getComputedStyle(behind).backgroundColor === clear) behind = behind.parentElement;
            return [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor];
        }"""
    )
    light, dark = sorted(map(luminance, colors), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color):
    channels = [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_on_paper_all_that_was_found_is_there_and_no_control(page):
    page.emulate_media(media="print")
    assert not page.locator(".filters").is_visible()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#list li").count() == 124

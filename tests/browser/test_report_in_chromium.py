"""The page in a real browser: both themes, a telephone's width, nothing to complain about."""

import os
from pathlib import Path

import pytest

from chaoskit.report import render_html
from tests.browser.chromium import browser
from tests.unit.report import samples
from tests.unit.report.hostile import PAYLOADS, with_every_string

pytestmark = pytest.mark.browser

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
GROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def page():
    with browser() as opened:
        yield opened


def write(folder: Path, sample) -> Path:
    path = folder / "report.html"
    path.write_text(render_html(sample.result, sample.timelines, sample.facts), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", samples.ALL)
def test_it_fits_and_the_browser_has_nothing_to_say(page, tmp_path, kind, dark, width):
    path = write(tmp_path, samples.ALL[kind]())
    page.open(path, width=width, dark=dark)
    assert page.value(OVERFLOW) <= 0
    assert page.complaints() == []
    assert [url for url in page.requested() if not url.startswith("data:")] == [path.as_uri()]
    if pictures := os.environ.get("CHAOSKIT_PICTURES"):  # a folder, for people who want to look
        theme = "dark" if dark else "light"
        page.picture(Path(pictures) / f"{kind}-{theme}-{width}.png")


def test_the_theme_follows_the_reader(page, tmp_path):
    path = write(tmp_path, samples.passing())
    page.open(path, width=1280, dark=False)
    light = page.value(GROUND)
    page.open(path, width=1280, dark=True)
    assert page.value(GROUND) != light


def test_every_chart_has_a_width_and_a_height(page, tmp_path):
    page.open(write(tmp_path, samples.failing()), width=360, dark=False)
    sizes = page.value(
        "[...document.querySelectorAll('svg.p')].map(s => s.getBoundingClientRect())"
        ".map(r => [r.width, r.height])"
    )
    drawn = [size for size in sizes if size != [0, 0]]  # a closed table has none
    assert len(drawn) > 20
    assert all(width > 200 and height >= 18 for width, height in drawn)


def test_the_answer_is_on_the_first_screen(page, tmp_path):
    page.open(write(tmp_path, samples.failing()), width=1280, dark=False, height=800)
    for place in ("verdict", "client_outage", "lost_writes"):
        assert (
            page.value(f"document.getElementById('{place}').getBoundingClientRect().bottom") < 800
        )


def test_hostile_strings_do_not_widen_the_page_or_run(page, tmp_path):
    sample = with_every_string(samples.failing(), " ".join(PAYLOADS.values()) + "w" * 300)
    path = write(tmp_path, sample)
    page.open(path, width=360, dark=False)
    assert page.value(OVERFLOW) <= 0
    assert page.complaints() == []
    assert [url for url in page.requested() if not url.startswith("data:")] == [path.as_uri()]


def test_printing_opens_every_trial(page, tmp_path):
    page.open(write(tmp_path, samples.many(9)), width=1280, dark=False)
    page.ask("Emulation.setEmulatedMedia", media="print")
    shown = page.value(
        "[...document.querySelectorAll('details.trial .plot')]"
        ".map(e => e.checkVisibility({contentVisibilityAuto: true}))"
    )
    page.ask("Emulation.setEmulatedMedia", media="")
    assert shown
    assert all(shown)


@pytest.mark.parametrize(
    ("planted", "sees"),
    [
        ("<p style='width:900px'>wide</p>", lambda page: page.value(OVERFLOW) > 0),
        ("<script>console.log('said')</script>", lambda page: page.complaints() != []),
        ("<script>throw new Error('x')</script>", lambda page: page.complaints() != []),
        ("<img alt='' src='http://198.18.0.1/x.png'>", lambda page: len(page.requested()) > 1),
    ],
)
def test_a_page_that_misbehaves_is_noticed(page, tmp_path, planted, sees):
    path = tmp_path / "planted.html"
    path.write_text(
        f"<!doctype html><meta name='viewport' content='width=device-width'><title>x</title><body>{planted}</body>",
        encoding="utf-8",
    )
    page.open(path, width=360, dark=False)
    assert sees(page)

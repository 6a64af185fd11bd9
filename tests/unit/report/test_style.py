"""The style: readable contrast in both themes, the system's fonts, nothing from elsewhere."""

import re

import pytest

from chaoskit.report.html import _style

TEXT = ("ink", "soft", "faint", "link", "bad-ink",
        "pass", "fail", "amber", "violet", "grey", "crimson")  # fmt: skip


def themes():
    css = _style()
    dark_at = css.index("prefers-color-scheme:dark")
    light = dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})", css[:dark_at]))
    dark = {
        **light,
        **dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})", css[dark_at : dark_at + 900])),
    }
    return {"light": light, "dark": dark}


def luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_measure_of_contrast_is_right_at_its_ends():
    assert contrast("#fff", "#000") == pytest.approx(21)
    assert contrast("#777777", "#777") == pytest.approx(1)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", TEXT)
def test_text_can_be_read_on_its_ground(theme, name):
    colours = themes()[theme]
    assert contrast(colours[name], colours["panel"]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_on_coloured_lanes_can_be_read(theme):
    colours = themes()[theme]
    assert contrast(colours["on-strong"], colours["primary"]) >= 4.5
    assert contrast(colours["on-strong"], colours["bad"]) >= 4.5
    for ground in ("backup", "witness", "ph0", "ph1", "ph2", "ph3", "ph4", "ph5"):
        assert contrast(colours["ink"], colours[ground]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_marks_stand_out_from_their_ground(theme):
    colours = themes()[theme]
    for name in ("ok", "ok_late", "fail_definite", "ambiguous", "not_sent", "fault", "primary"):
        assert contrast(colours[name], colours["panel"]) >= 3.0


def test_nothing_is_loaded_from_anywhere():
    assert not re.search(r"url\(|@import|@font-face|https?:", _style())


def test_it_adapts_to_theme_print_and_width():
    for query in ("prefers-color-scheme:dark", "media print", "max-width:620px"):
        assert query in _style()

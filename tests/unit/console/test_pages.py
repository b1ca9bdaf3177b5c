"""Pages: nothing that runs inside, colours that can be read, and an htmx that is htmx."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from gateway.console.pages import ASSETS, CONTENT_SECURITY_POLICY, HTMX_CONFIG
from tests.repo.test_no_registry import NAMED

STYLE = ASSETS["console.css"][1].decode()
TEMPLATES = sorted(Path("gateway/console/templates").glob("*.j2"))

# `dist/htmx.min.js` of the package htmx.org 2.0.11, as its registry has it.
HTMX = (
    "d8e6adcd0cb51fe65dfc822b8ebd5372e0c6a8b5de1e16e8a00c8963529d40c2"
    "a7af82d9db6937d4604b7582879958e0"
)


def test_htmx_is_the_file_that_was_looked_at_and_its_licence_lies_beside_it():
    assert hashlib.sha384(ASSETS["htmx.min.js"][1]).hexdigest() == HTMX
    licence = Path("gateway/console/assets/htmx.LICENSE.txt").read_text(encoding="utf-8")
    assert licence.startswith("Zero-Clause BSD")
    assert not NAMED.search(ASSETS["htmx.min.js"][1].decode())


def test_htmx_neither_evaluates_nor_writes_styles_nor_keeps_pages():
    config = json.loads(HTMX_CONFIG)
    assert config["allowEval"] is config["includeIndicatorStyles"] is False
    assert config["allowScriptTags"] is config["historyEnabled"] is False
    assert config["historyCacheSize"] == 0
    assert config["selfRequestsOnly"] is True


def test_the_policy_allows_nothing_inside_a_page_and_nothing_from_outside():
    policy = dict(part.split(" ", 1) for part in CONTENT_SECURITY_POLICY.split("; "))
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("frame-ancestors") == policy.pop("base-uri") == "'none'"
    assert set(policy.values()) == {"'self'"}
    assert set(policy) == {"script-src", "style-src", "img-src", "connect-src", "form-action"}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: file.name)
def test_no_template_needs_more_than_the_policy_allows(template):
    text = template.read_text(encoding="utf-8")
    assert not re.search(
        r"\son\w+\s*=|\sstyle\s*=|javascript:|hx-on|hx-vals|<style|\|\s*safe", text
    )
    assert re.findall(r"<script[^>]*>(?!</script>)", text) == []
    assert not re.search(r"https?://", text)


def test_the_style_brings_nothing_from_outside():
    assert not re.search(r"url\(|@import|expression", STYLE)


# -- colours: WCAG 2.2, 1.4.3 and 1.4.11


def palettes():
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    return {
        name: dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", text))
        for name, text in (("light", light), ("dark", dark))
    }


def luminance(colour):
    """WCAG 2.2: relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


TEXT = [
    *((ink, ground) for ink in ("ink", "soft", "accent") for ground in ("paper", "card")),
    *((state, "card") for state in ("good", "warn", "bad")),
    ("bad", "paper"),  # what is wrong with a password
    ("good", "good-card"),
    ("bad", "bad-card"),
    ("accent", "accent-card"),
    ("on-accent", "accent"),
    ("on-bad", "bad"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_can_be_read(scheme, ink, ground):
    colours = palettes()[scheme]
    assert contrast(colours[ink], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "card"])
@pytest.mark.parametrize("edge", ["edge", "accent"])
def test_the_edge_of_a_field_and_the_focus_can_be_seen(scheme, ground, edge):
    colours = palettes()[scheme]
    assert contrast(colours[edge], colours[ground]) >= 3


def test_both_schemes_name_the_same_colours_and_no_other_colour_is_used():
    light, dark = palettes().values()
    assert set(light) == set(dark)
    rest = re.sub(r":root \{.*?\}", "", STYLE, flags=re.DOTALL)
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b", rest) == []
    assert set(re.findall(r"var\(--([a-z-]+)\)", rest)) <= set(light)


def test_contrast_is_what_wcag_says():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)

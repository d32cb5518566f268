"""Texts of the live page: each has a translation, and the language follows address, cookie, option and browser."""

import re
from datetime import date
from pathlib import Path

import pytest

import birdnet_nl.live
from birdnet_nl.data.training_rules import read_type_set
from birdnet_nl.live.pages import SCRIPT_TEXTS
from birdnet_nl.live.texts import (
    DUTCH,
    choose_language,
    long_date,
    species_name,
    translator,
    type_class,
    type_word,
)  # fmt: skip
from birdnet_nl.recordings.type_colours import TYPE_COLOURS

LIVE = Path(birdnet_nl.live.__file__).parent
TEMPLATES = "".join(file.read_text(encoding="utf-8") for file in (LIVE / "templates").iterdir())
CODE = "".join(file.read_text(encoding="utf-8") for file in LIVE.glob("*.py") if file.name != "texts.py")


def used_texts() -> set[str]:
    in_templates = re.findall(r"\bt\('((?:[^'\\]|\\.)*)'\)", TEMPLATES)
    refusals = re.findall(r'RefusedError\(\s*\w+(?:\.\w+)?,\s*"([^"]+)"', CODE)
    return {*in_templates, *refusals, *SCRIPT_TEXTS}


def test_every_text_of_the_templates_and_refusals_has_a_translation():
    assert len(used_texts()) > 60
    assert {text for text in used_texts() if text not in DUTCH} == set()


def test_no_translation_is_unused():
    words = {"song", "call", "alarm", "wrong", "none", "new", "waiting for audio", "done", "no model", "audio gone",
             "failed", "uncertain", *TYPE_COLOURS}  # fmt: skip
    everything = TEMPLATES + CODE
    assert {text for text in DUTCH if text not in everything and text not in words} == set()


def test_a_missing_text_is_an_error_in_both_languages():
    for language in ("en", "nl"):
        with pytest.raises(KeyError):
            translator(language)("no such text")


@pytest.mark.parametrize(
    ("asked", "remembered", "fixed", "accepted", "language"),
    [
        ("nl", "en", "en", "en", "nl"),
        ("", "nl", "en", "en", "nl"),
        ("", "", "nl", "en", "nl"),
        ("", "", "", "de-DE, nl-BE;q=0.8, en;q=0.5", "nl"),
        ("", "", "", "de, fr", "en"),
        ("<script>", "../nl", "", "\xff" * 5000, "en"),
    ],
)
def test_the_language_follows_address_cookie_option_and_browser(asked, remembered, fixed, accepted, language):
    assert choose_language(asked, remembered, fixed, accepted) == language


def test_types_of_any_model_have_words_and_classes():
    css = (LIVE / "static" / "live.css").read_text(encoding="utf-8")
    for name in read_type_set("ten").types:
        assert name in DUTCH and type_class(name) == name
        colour = TYPE_COLOURS[name]
        assert f"--{name}: {colour};" in css or f".{name} {{ --type: {colour};" in css
    assert (type_word("flight_call", "en"), type_word("flight_call", "nl")) == ("flight call", "vluchtroep")
    assert (type_word("contact_b", "nl"), type_class('x" onload="y')) == ("contact b", "other")


def test_dates_and_species_are_written_in_the_language():
    assert long_date(date(2026, 3, 1), "nl") == "zondag 1 maart 2026"
    assert long_date(date(2026, 3, 1), "en") == "Sunday 1 March 2026"
    assert species_name("koolmees", "Parus major", "Mees", "nl") == "Koolmees"
    assert species_name("", "Strix fictus", "Owl", "nl") == "Owl"
    assert species_name("", "", "", "nl") == "?"

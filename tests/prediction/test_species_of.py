"""Species by folder, by file name and by the labels of recognisers."""

from pathlib import Path

import pytest

from birdnet_nl.prediction.species_of import is_not_a_bird, species_of_file, species_of_label


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/r/xeno-canto-koolmees/song/XC1.mp3", "koolmees"),
        ("/r/Parus major/2026/a.wav", "koolmees"),
        ("/r/Eurasian_Blue_Tit/a.wav", "pimpelmees"),
        ("/r/station/turdus_merula_80p_20260501T061233Z_15s.wav", "merel"),
        ("/r/By_Date/Koolmees-85-2026-05-01-birdnet-RTSP_1-06:12:33.mp3", "koolmees"),
        ("/r/XC123456 - Great Tit - Parus major.mp3", "koolmees"),
        ("/r/merel/koolmees/a.wav", "koolmees"),
        ("/r/goudvinkje/a.wav", None),
    ],
)
def test_a_species_comes_from_the_nearest_folder_else_from_the_file_name(path, slug):
    species = species_of_file(Path(path), Path("/r"))
    assert (species.slug if species else None) == slug


@pytest.mark.parametrize(
    "label",
    [
        "Parus major_Great Tit",
        "Parus major, Great Tit",
        "Great Tit",
        "koolmees",
        "Great Tit (Parus major)",
        "PARUS MAJOR",
    ],
)
def test_labels_of_recognisers_are_understood(label):
    assert species_of_label(label).slug == "koolmees"


def test_the_name_that_birdnet_uses_is_known():
    assert species_of_label("Corvus monedula_Eurasian Jackdaw").slug == "kauw"


def test_noises_are_not_birds_and_other_birds_are_not_noises():
    for label in ("Human vocal_Human vocal", "Engine", "nocall", "Power tools_Power tools", "Dog_Dog", ""):
        assert is_not_a_bird(label) and species_of_label(label) is None
    assert (
        not is_not_a_bird("Cyanocitta cristata_Blue Jay") and species_of_label("Cyanocitta cristata_Blue Jay") is None
    )

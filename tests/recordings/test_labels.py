"""Classification of type texts as recordists write them."""

import csv
import time
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.type_texts import measure, reading
from birdnet_nl.recordings.labels import (
    ALARM,
    CALL,
    EXCLUDED,
    FLIGHT,
    IGNORED,
    MULTILABEL,
    OTHER,
    RULES,
    SONG,
    UNKNOWN,
    classify_type,
    types_in,
)
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.recordings.type_set import three
from birdnet_nl.species.table import all_species

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "vocalization_types.md"
LABELLED = Path(__file__).with_name("type_texts_labelled.csv")
REAL_MANIFEST = ROOT.parent / "shared" / "recordings" / "recordings.csv"
FOLDER_TYPE = {"song": SONG, "call": CALL, "alarm": ALARM, "mixed": MULTILABEL, "drum": OTHER}


EXAMPLES = {
    SONG: [
        "song", "Song", "ADULT, MALE, SONG", "song 4 birds in flight", "songs of group of 3 birds", "song, subsong",
        "imitation, song", "song, male, life stage uncertain", "song_01", "zang", "zang (mannetje)", "Gesang",
        "chant, mâle", "canto", "sång", "late song", "chant d'un mâle", "song (A)", "song, wing sounds",
        "song in flight", "song (type A?)", "song, female?", "Reviergesänge", "song with imitations of calls",
        "imitation of alarm call of Jay, song", "cantos", "singing male", "songflight", "sonng", "Traffic, song",
        "sa\u030ang",  # the same letter as two code points
    ],
    CALL: [
        "call", "calls in colony", "flight call", "call, nocturnal flight call", "begging call", "call, gibberish",
        "begging call, juvenile", "roep", "Rufe, Männchen", "Flugruf", "cri en vol", "various calls", "type A call",
        "flight call, nocturnal", "Nocturnal call, call", "advertising call", "calls of a group", "aberrant, call",
        "call (nocturnal)", "call at nest", "Erregungsruf", "baltsroepen", "vliegroep", "Flug- und Lockrufe",
        "contact notes", "call(s)", "fligth call", "nocturnal flightcall", "call, not alarm", "no song, call",
        "call, Song Thrush in background", "HUVI-like call", "chamado", "calls, possibly of a juvenile",
    ],
    ALARM: [
        "alarm call", "alarm", "Alarm-call", "call (alarm)", "female; alarm calls", "alarming",
        "alarm call, alarm clapping with wings", "alarmroep", "Warnruf", "cri d’alarme", "llamada de alarma",
        "allarmcall", "alarm call in flight", "male and female alarm calls", "scold in flight", "waarschuwingsroepjes",
        "alarm near chick", "Alarm cal when taking flight", "llamados de alarma", "Warnlaute", "varningsläten",
    ],
    MULTILABEL: [
        "song, alarm call", "alarm call, song", "alarm call, call", "song/call", "song; call", "song & call",
        "Call and 'song'", "mixed", "drumming, song", "call, subsong", "call, mimicry", "roep, alarm",
        "zang en roep", "Gesang und Rufe", "cri, chant", "canto y reclamo", "läte, varningsläte", "sång och lockläte",
        "alarm and flight calls", "soft and alarm calls", "flight/alarm call", "contact/alarm", "alarm, contact",
        "call (alarm, flight)", "Lock- und Warnrufe", "alarm song", "call with alarm", "call - alarm", "various sounds",
        "call then alarm", "song call", "call, scold", "bill snaps, call", "song • call", "duet, alarm call",
    ],
    OTHER: [
        "drumming", "subsong", "imitation", "mimicry/imitation", "roffel", "drum", "other", "whistle", "wing whir",
        "mechanical call", "imitation of song of Blackbird", "sub-song", "Jugendgesang", "distress call",
        "other sounds",
    ],
    UNKNOWN: [
        "", " , ; ", "male", "song?", "song, call ?", "uncertain", "song, uncertain", "gibberish", "?, call", "-",
        "not song", "no alarm", "song-like call", "no song/call", "kein Gesang", "pas de chant", "geen zang",
        "(?) call", "alarm, probably contact", "alarm (probably contact)", "poss. song", "call, type unknown",
        "life stage uncertain", "song or call?", "distraction display", "xeno-canto", "Song Thrush", "Boszanger",
        "Zanglijster", "vogelgroep",
        "recall", "birdsong", "songbird", "vogelzang", "canton", "beroep",  # words match as a whole
        "swinging", "chart", "signing", "fight", "limitation",  # other words than "singing", "chant", "flight", …
    ],
}  # fmt: skip


@pytest.mark.parametrize("label", EXAMPLES)
def test_type_texts_are_classified(label):
    assert {text: classify_type(text) for text in EXAMPLES[label]} == dict.fromkeys(EXAMPLES[label], label)


def test_flight_calls_can_be_left_out():
    assert classify_type("flight call", three("leave_out")) == OTHER
    assert classify_type("call, flight call", three("leave_out")) == MULTILABEL
    assert classify_type("call in flight", three("leave_out")) == OTHER
    assert classify_type("flight song", three("leave_out")) == SONG
    assert classify_type("alarm call in flight", three("leave_out")) == ALARM
    assert classify_type("call", three("leave_out")) == CALL
    with pytest.raises(ValueError, match="flight_call=maybe is not possible; choose one of call, leave_out"):
        classify_type("flight call", three("maybe"))


def test_the_types_of_a_multilabel_text_are_returned():
    assert types_in("alarm call, call, song") == {SONG, CALL, ALARM}
    assert types_in("drumming, song") == {SONG}
    assert types_in("mixed") == frozenset()
    assert types_in("song, call?") == frozenset()
    assert types_in("flight call, song", three("leave_out")) == {SONG}
    assert types_in("advertising and alarm calls") == {CALL, ALARM}


def test_doubt_matters_only_if_it_changes_the_result():
    assert classify_type("courtship song?, song") == SONG
    assert classify_type("wing beats?, call") == CALL
    assert classify_type("flight call?, call") == CALL
    assert classify_type("flight call?, call", three("leave_out")) == UNKNOWN
    assert classify_type("alarm?, call") == UNKNOWN


@pytest.mark.parametrize("letters", ["aalarm", "allarm", "alrm", "alram", "alarn"])
def test_a_typo_of_one_letter_is_read(letters):
    assert classify_type(f"{letters} call") == ALARM


def test_no_typo_turns_one_type_into_another():
    words = [word for rule in RULES for word in rule.words.split(", ") if rule.result in VOCALIZATION_TYPES]
    for word in [word for word in words if " " not in word]:
        results = {classify_type(word[:i] + word[i + 1 :]) for i in range(1, len(word))}  # one letter missing
        results |= {classify_type(word[:i] + word[i] + word[i:]) for i in range(len(word))}  # one letter twice
        assert results <= {classify_type(word), UNKNOWN}, word


def test_each_phrase_of_the_rules_gives_the_result_of_its_rule():
    results = {FLIGHT: CALL, IGNORED: UNKNOWN, EXCLUDED: UNKNOWN}
    for rule in RULES:
        for phrase in rule.words.split(", "):
            assert classify_type(phrase) == results.get(rule.result, rule.result), phrase
            if rule.result == IGNORED:
                assert classify_type(f"{phrase}, song") == SONG, phrase


def test_the_name_of_a_species_is_no_type():
    names = [name for species in all_species() for name in vars(species).values() if isinstance(name, str)]
    assert len(names) > 1000
    assert [name for name in names if classify_type(name) != UNKNOWN] == []


def test_texts_labelled_by_hand_are_read_as_labelled():
    accepted = {  # doubt of a recordist who still wrote the tag "call": left out rather than guessed
        "Part of the call is similar to Layards Parakeet assuming that it mimics, call": ("call", "unknown"),
    }
    report = measure(LABELLED)
    assert report.disagreements == accepted
    assert report.recordings > 13_000
    assert report.unknown_share <= 0.01
    assert report.unknown_texts == tuple(accepted)


def test_unlabelled_texts_are_counted(tmp_path):
    table = tmp_path / "texts.csv"
    table.write_text("type_text,recordings\ncall,6\nmale,3\n?,1\n", encoding="utf-8")
    report = measure(table)
    assert report.unknown_share == 0.4
    assert report.unknown_texts == ("male", "?")


def table_of_page(heading: str) -> list[list[str]]:
    section = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines[2:]]


def test_the_documented_combinations_are_read_as_documented():
    rows = [(text, read) for texts, read, _ in table_of_page("Combinations") for text in texts.split("` `")]
    assert len(rows) > 20
    assert {text.strip("`"): reading(text.strip("`")) for text, _ in rows} == {
        text.strip("`"): read for text, read in rows
    }


BESIDE = {
    "doubt": "unknown, unless the result is the same without the doubted sound",
    "negation": "the sounds after it in the clause do not count",
    "in flight": "a call is a flight call",
    "and": "separates two sounds",
    "with": "separates two sounds",
}


def rules_as_rows() -> list[list[str]]:
    rows = []
    for rule in RULES:
        alone = {FLIGHT: "call, or other with `leave_out`", IGNORED: "unknown", EXCLUDED: "unknown"}
        beside = {IGNORED: "no effect"}.get(rule.result, "several")
        if rule.part_of:
            otherwise = "" if len(rule.part_of) == 3 else "; else several"
            beside = f"no effect beside {', '.join(rule.part_of)}{otherwise}"
        if rule.result in (*VOCALIZATION_TYPES, FLIGHT):
            beside = "several, unless the same type"
        rows.append([rule.name, alone.get(rule.result, rule.result), BESIDE.get(rule.name, beside), rule.words])
    return rows


def test_the_documented_words_equal_the_rules():
    rows = rules_as_rows()
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    assert table_of_page("Words") == rows, f"paste this table into docs/vocalization_types.md:\n{text}"


@pytest.mark.skipif(not REAL_MANIFEST.exists(), reason="needs the shared recordings")
def test_the_rules_cover_real_texts_and_agree_with_their_folders():
    with REAL_MANIFEST.open(encoding="utf-8", newline="") as file:
        rows = [(row["type"], FOLDER_TYPE[row["file"].split("/")[1]]) for row in csv.DictReader(file)]
    assert all(classify_type(text) != UNKNOWN for text, _ in rows)
    differences = Counter(classify_type(text) for text, folder in rows if classify_type(text) != folder)
    assert set(differences) <= {MULTILABEL}  # stricter than the folders, which ignore a second type
    assert differences.total() <= 0.06 * len(rows)


LONG = ["a" * 100_000, "alarm" * 20_000, "calll" * 20_000, "x" * 50_000 + "roep", "x " * 50_000, " - " * 30_000]


@pytest.mark.parametrize("text", LONG, ids=["letter", "alarm", "calll", "roep", "words", "hyphens"])
def test_a_very_long_text_takes_no_quadratic_time(text):
    start = time.perf_counter()
    assert classify_type(f"{text}, song") == "song"
    assert time.perf_counter() - start < 1

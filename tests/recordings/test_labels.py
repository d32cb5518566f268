"""Classification of type texts as recordists write them."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from birdnet_nl.recordings.labels import (
    ALARM,
    CALL,
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

ROOT = Path(__file__).resolve().parents[2]
REAL_MANIFEST = ROOT.parent / "shared" / "recordings" / "recordings.csv"
FOLDER_TYPE = {"song": SONG, "call": CALL, "alarm": ALARM, "mixed": MULTILABEL, "drum": OTHER}


EXAMPLES = {
    SONG: [
        "song", "Song", "ADULT, MALE, SONG", "song 4 birds in flight", "songs of group of 3 birds", "song, subsong",
        "imitation, song", "song, male, life stage uncertain", "song_01", "zang", "zang (mannetje)", "Gesang",
        "chant, mâle", "canto", "sång",
        "sa\u030ang",  # the same letter as two code points
    ],
    CALL: [
        "call", "calls in colony", "flight call", "call, nocturnal flight call", "begging call",
        "begging call, juvenile", "roep", "Rufe, Männchen", "Flugruf", "cri en vol",
    ],
    ALARM: [
        "alarm call", "alarm", "Alarm-call", "call (alarm)", "female; alarm calls", "alarming",
        "alarm call, alarm clapping with wings", "alarmroep", "Warnruf", "cri d’alarme", "llamada de alarma",
    ],
    MULTILABEL: [
        "song, alarm call", "alarm call, song", "alarm call, call", "song/call", "song; call", "song & call",
        "Call and 'song'", "mixed", "drumming, song", "call, subsong", "call, mimicry", "roep, alarm",
        "zang en roep", "Gesang und Rufe", "cri, chant", "canto y reclamo", "läte, varningsläte", "sång och lockläte",
    ],
    OTHER: ["drumming", "subsong", "imitation", "mimicry/imitation", "roffel", "drum", "other"],
    UNKNOWN: [
        "", " , ; ", "male", "song?", "song, call ?", "uncertain", "song, uncertain", "gibberish", "call, gibberish",
        "not song", "no alarm", "song-like call", "late song", "chant d'un mâle",
        "recall", "birdsong", "songbird",  # words match as a whole
    ],
}  # fmt: skip


@pytest.mark.parametrize("label", EXAMPLES)
def test_type_texts_are_classified(label):
    assert {text: classify_type(text) for text in EXAMPLES[label]} == dict.fromkeys(EXAMPLES[label], label)


def test_flight_calls_can_be_left_out():
    assert classify_type("flight call", flight_call="leave_out") == OTHER
    assert classify_type("call, flight call", flight_call="leave_out") == MULTILABEL
    assert classify_type("call", flight_call="leave_out") == CALL
    with pytest.raises(ValueError, match="flight_call=maybe is not possible; choose one of call, leave_out"):
        classify_type("flight call", flight_call="maybe")


def test_the_types_of_a_multilabel_text_are_returned():
    assert types_in("alarm call, call, song") == {SONG, CALL, ALARM}
    assert types_in("drumming, song") == {SONG}
    assert types_in("mixed") == frozenset()
    assert types_in("song, call?") == frozenset()
    assert types_in("flight call, song", flight_call="leave_out") == {SONG}


def test_each_phrase_of_the_table_gives_the_result_of_its_rule():
    results = {"flight call": CALL, "ignored": UNKNOWN}
    for rule in RULES:
        for phrase in rule.phrases.split(","):
            assert classify_type(phrase) == results.get(rule.result, rule.result), phrase
            if rule.result == "ignored":
                assert classify_type(f"{phrase}, song") == SONG, phrase


def rules_as_markdown() -> str:
    lines = ["| rule | alone | beside a type | words |", "|---|---|---|---|"]
    for rule in RULES:
        beside = {UNKNOWN: "unknown", IGNORED: "no effect"}.get(rule.result, "several")
        if rule.part_of:
            otherwise = "" if len(rule.part_of) == 3 else "; else several"
            beside = f"no effect beside {', '.join(rule.part_of)}{otherwise}"
        alone = {FLIGHT: "call, or other with `leave_out`", IGNORED: "unknown"}.get(rule.result, rule.result)
        if rule.result in (*VOCALIZATION_TYPES, FLIGHT):
            beside = "several, unless the same type"
        lines.append(f"| {rule.name} | {alone} | {beside} | {rule.phrases} |")
    return "\n".join(lines)


def test_the_documented_table_equals_the_rules():
    document = (ROOT / "docs" / "vocalization_types.md").read_text(encoding="utf-8")
    table = [line for line in document.splitlines() if line.startswith("|")]
    assert "\n".join(table) == rules_as_markdown(), "paste the table of this test into docs/vocalization_types.md"


@pytest.mark.skipif(not REAL_MANIFEST.exists(), reason="needs the shared recordings")
def test_the_rules_cover_real_texts_and_agree_with_their_folders():
    with REAL_MANIFEST.open(encoding="utf-8", newline="") as file:
        rows = [(row["type"], FOLDER_TYPE[row["file"].split("/")[1]]) for row in csv.DictReader(file)]
    assert all(classify_type(text) != UNKNOWN for text, _ in rows)
    differences = Counter(classify_type(text) for text, folder in rows if classify_type(text) != folder)
    assert set(differences) <= {MULTILABEL}  # stricter than the folders, which ignore a second type
    assert differences.total() <= 0.06 * len(rows)

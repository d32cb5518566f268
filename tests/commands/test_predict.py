"""`birdnet-nl predict`: screen output, options, exit codes and messages."""

import importlib.util
import json
from pathlib import Path

import pytest

_path = Path(__file__).parents[1] / "prediction" / "conftest.py"
_spec = importlib.util.spec_from_file_location("prediction_conftest", _path)
_prediction = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_prediction)
write_sound, write_model, write_pack = _prediction.write_sound, _prediction.write_model, _prediction.write_pack
use_fake_models = pytest.fixture(autouse=True)(_prediction.use_fake_models.__wrapped__)


@pytest.fixture
def model(tmp_path, write_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_model(tmp_path / "koolmees.fake", "koolmees")


@pytest.fixture
def clip(tmp_path, write_sound):
    return write_sound(tmp_path / "clip.wav", ("song", 3), ("alarm", 3))


def test_a_clip_is_printed_with_its_segments(cli, clip, model):
    result = cli("predict", clip, "--model", model, "--overlap", 0)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    assert ["│", "0.0", "│", "3.0", "│", "song", "│", "0.80", "│", "0.10", "│", "0.10", "│"] in lines
    assert ["│", "3.0", "│", "6.0", "│", "alarm", "│", "0.10", "│", "0.10", "│", "0.80", "│"] in lines
    assert "Great Tit" in result.output


def test_json_is_one_object_for_each_recording(cli, tmp_path, model, write_sound):
    clip = write_sound(tmp_path / "clip.wav", ("song", 6))
    write_sound(tmp_path / "other.wav", ("call", 3))
    result = cli("predict", clip, tmp_path / "other.wav", "--model", model, "--json", "--quiet")
    first, second = map(json.loads, result.stdout.splitlines())
    assert first["vocalization_type"] == "song" and [row["start_s"] for row in first["segments"]] == [0, 1.5, 3]
    assert second["segments"][0]["probabilities"] == {"song": 0.1, "call": 0.8, "alarm": 0.1}


def test_a_failed_file_is_named_and_the_exit_code_is_1(cli, tmp_path, clip, model):
    (tmp_path / "broken.wav").write_bytes(b"not a sound")
    result = cli("predict", tmp_path / "broken.wav", clip, "--model", model, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert f"{tmp_path / 'broken.wav'}: cannot be decoded (unknown format)" in result.output
    assert "1 recording predicted (alarm 1), 1 failed; tables in" in result.output
    assert "broken.wav" in (tmp_path / "out" / "failures.csv").read_text()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--species", "koolmes"], "species=koolmes is not a species of the Netherlands; did you mean koolmees"),
        (["--format", "rave"], "--format rave does not exist; did you mean raven? possible are csv, raven"),
        (["--uncertain", "hide"], "--uncertain hide does not exist; choose keep, drop or mark"),
        (["--language", "de"], "--language de does not exist; choose en or nl"),
        (["--min-confidence", "70"], "--min-confidence 70 is not between 0 and 1"),
        (["--top", "0"], "--top 0 keeps no row"),
        (["--overlap", "3"], "--overlap 3 must be at least 0 and below the segment length of 3 s"),
        (["--overlap", "-1"], "--overlap -1 is not possible"),
        (["--workers", "0"], "--workers 0 is not possible"),
        (["--shard", "17/16"], "--shard 17/16 is not a part such as 3/16"),
        (["--species", "merel"], "no model for merel; there is one for koolmees; give another --model"),
        (["--detections", "missing.csv"], "--detections missing.csv does not exist"),
        (["nowhere.wav"], "nowhere.wav does not exist"),
        (["--model", "koolmes.fake"], "koolmes.fake does not exist"),
    ],
)
def test_a_wrong_option_is_one_sentence_with_exit_code_2(cli, clip, model, words, text):
    words = words if "--model" in words else ["--model", model, *words]
    result = cli("predict", clip, *words)
    assert result.exit_code == 2 and text in result.output, result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_mistyped_option_gets_a_suggestion(cli, clip, model):
    result = cli("predict", clip, "--overlp", "1")
    assert result.exit_code == 2 and "--overlap" in result.output


def test_nothing_to_predict_names_an_example(cli):
    result = cli("predict")
    assert result.exit_code == 2 and "try birdnet-nl predict clip.mp3" in result.output


def test_without_a_model_the_ways_to_get_one_are_named(cli, clip, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = cli("predict", clip, "--species", "koolmees")
    assert result.exit_code == 2 and "no models/active; give one with --model" in result.output


def test_a_foreign_model_is_one_sentence(cli, tmp_path, clip):
    (tmp_path / "foreign.onnx").write_bytes(b"ONNX of somebody else")
    result = cli("predict", clip, "--model", tmp_path / "foreign.onnx")
    assert result.exit_code == 2 and "foreign.onnx is not a model" in result.output


def test_a_folder_without_sound_says_what_it_holds(cli, tmp_path, model):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.docx").write_text("")
    result = cli("predict", tmp_path / "notes", "--model", model)
    assert result.exit_code == 2 and "it holds 1 .docx; possible are" in result.output


def test_many_files_are_not_printed_but_refused(cli, tmp_path, model, write_sound, monkeypatch):
    monkeypatch.setattr("birdnet_nl.commands.predict.MAX_ON_SCREEN", 1)
    for number in range(2):
        write_sound(tmp_path / "many" / f"{number}.wav", ("song", 3))
    result = cli("predict", tmp_path / "many", "--model", model)
    assert result.exit_code == 2 and "2 recordings are too many for the screen; add -o FOLDER" in result.output
    assert cli("predict", tmp_path / "many", "--model", model, "-o", tmp_path / "out").exit_code == 0


def test_ctrl_c_says_how_to_continue(cli, tmp_path, clip, model, monkeypatch, write_sound):
    other = write_sound(tmp_path / "d.wav", ("song", 3))
    first = _prediction.load_fake(model).predict_file

    def interrupted(self, path, **options):
        if Path(path) == other:
            raise KeyboardInterrupt
        return first(path, **options)

    words = ("predict", clip, other, "--model", model, "-o", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr("fake_model.FakeModel.predict_file", interrupted)
        result = cli(*words)
    assert result.exit_code == 130
    assert (
        "Stopped: 1 of 2 are predicted and kept in" in result.output and "the same command continues" in result.output
    )
    assert "2 recordings predicted" in cli(*words).output


def test_detections_are_counted_by_what_they_got(cli, tmp_path, clip, model):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "clip.BirdNET.results.csv").write_text(
        "Start (s),End (s),Scientific name,Common name,Confidence,File\n"
        "0.0,3.0,Parus major,Great Tit,0.9,clip.wav\n0.0,3.0,Turdus merula,Eurasian Blackbird,0.9,clip.wav\n"
        "3.0,6.0,Engine,Engine,0.5,clip.wav\n0.0,3.0,Parus major,Great Tit,0.9,lost.wav\n"
    )
    words = ("--detections", tmp_path / "results", "--model", model, "-o", tmp_path / "out")
    result = cli("predict", clip, *words)
    assert result.exit_code == 0
    assert "4 detections: 1 typed, 1 no model, 1 not a bird, 1 no audio" in result.output
    (tmp_path / "results" / "clip.BirdNET.results.txt").write_text("0.0\t3.0\tGreat Tit\t0.9\n")
    result = cli("predict", clip, *words, "--format", "csv")
    assert "5 detections: 2 typed," in result.output and "; 1 in several tables" in result.output


def test_help_shows_examples_and_groups(cli):
    output = cli("predict", "--help").output
    for text in ("Example: birdnet-nl predict clip.mp3 --species koolmees", "Large jobs", "Which rows", "130 after"):
        assert text in output


def test_the_promoted_version_predicts_like_its_run(cli, tmp_path, monkeypatch, make_shippable_run, write_sound):
    monkeypatch.undo()  # real models
    monkeypatch.chdir(tmp_path)
    run = make_shippable_run(tmp_path / "logs" / "run", "fast", "koolmees", 1)
    assert cli("promote", tmp_path / "logs", "--version", "2026Q4", "--allow-synthetic").exit_code == 0
    clip = write_sound(tmp_path / "koolmees" / "clip.wav", ("song", 3), ("alarm", 3))
    results = []
    for words in ([], ["--model", "models/2026Q4"], ["--model", run.folder]):
        result = cli("predict", clip, *words, "--json", "--quiet")
        assert result.exit_code == 0, result.output
        values = json.loads(result.stdout)
        results.append([segment["probabilities"] for segment in values["segments"]])
        assert values["model"] == ("koolmees 2026Q4" if len(results) < 3 else "koolmees")
    assert len(results[0]) == 3
    for others in results[1:]:  # the printed digits are rounded
        for expected, actual in zip(results[0], others, strict=True):
            assert actual == pytest.approx(expected, abs=2e-4)

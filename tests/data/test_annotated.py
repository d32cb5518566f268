"""Labels in time: the type of a segment, of a crop and of a recording from its annotations."""

import numpy as np
import pytest

from birdnet_nl.data.annotated import BACKGROUND, annotation_type, check_annotations, read_annotated, types_of_segments
from birdnet_nl.data.segments import Segment, limit_per_type
from birdnet_nl.data.sources import with_own_ids
from birdnet_nl.recordings.annotations import Annotation, write_annotations
from birdnet_nl.recordings.folder import read_species_folders
from birdnet_nl.recordings.type_set import THREE, TypeSet
from birdnet_nl.species.table import get_species


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        ([(1.0, 2.0, 0)], [0, 0, BACKGROUND]),  # segments of 3 s at 0, 1.5 and 3 s; the second has half of it
        ([(1.0, 2.1, 0)], [0, 0, BACKGROUND]),
        ([(1.0, 1.9, 0)], [0, BACKGROUND, BACKGROUND]),  # the second has less than half of it
        ([(0.0, 60.0, 1)], [1, 1, 1]),  # longer than a segment: half of the segment counts
        ([(0.5, 1.5, 0), (2.0, 2.4, 1)], [0, 1, BACKGROUND]),  # the longer of two, then the only one
        ([(0.2, 0.6, 1), (0.8, 1.2, 1), (1.0, 1.5, 0)], [1, BACKGROUND, BACKGROUND]),  # of a type together
        ([(2.0, 2.0, 2)], [2, 2, BACKGROUND]),  # a point
        ([(0.5, 1.5, 1), (0.5, 1.5, 1), (0.3, 1.5, 0)], [0, BACKGROUND, BACKGROUND]),  # a view counts once
    ],
)
def test_a_segment_has_the_type_that_shares_most_time_with_it(stretches, expected):
    assert types_of_segments(np.array([0.0, 1.5, 3.0]), 3.0, stretches).tolist() == expected


def test_a_segment_with_its_own_type_counts_as_that_type():
    segments = [Segment("XC1", 0.0), Segment("XC1", 1.5, 1), Segment("XC1", 3.0, 1)]
    kept = limit_per_type(segments, {"XC1": 0}, 1, np.random.default_rng(0))
    assert sorted(segment.type_in({"XC1": 0}) for segment in kept) == [0, 1]


def test_a_label_is_a_type_of_ones_own_by_its_name():
    own = TypeSet((("rain_call", ()), ("song", ("song",))))
    assert annotation_type("Rain call", own) == "rain_call" and annotation_type("zang", own) == "song"
    assert annotation_type("tik", own) is None and annotation_type("alarm call", THREE) == "alarm"


def test_recordings_and_their_stretches_are_read(tmp_path):
    folder = tmp_path / "xeno-canto-koolmees"
    for name in ("song/XC1.mp3", "mixed/XC2.mp3", "new/XC3.mp3", "new/XC4.mp3", "call/XC5.mp3"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"ID3" + name.encode())
    labels = (
        ("song/XC1.mp3", "", "song"), ("song/XC1.mp3", "Turdus merula", "song"), ("song/XC1.mp3", "", "x"),
        ("song/XC1.mp3", "Parmaj", ""), ("XC3", "", "alarm"), ("new/XC4.mp3", "", "song"), ("new/XC4.mp3", "", "call"),
        ("XC99.mp3", "", "song"),
    )  # fmt: skip
    write_annotations(
        folder, [Annotation(file, at, at + 1, species, text) for at, (file, species, text) in enumerate(labels)]
    )
    content = read_species_folders([folder], get_species("koolmees"))
    recordings, annotated = read_annotated([content], with_own_ids(content.recordings), THREE)
    types = {recording.id: recording.vocalization_type for recording in recordings}
    assert types == {"XC1": "song", "XC2": None, "XC3": "alarm", "XC4": None, "XC5": "call"}
    assert {recording.id: recording.type_text for recording in recordings}["XC4"] == "call, song"
    assert annotated.stretches["XC1"] == [(0, 1, "song"), (3, 4, "song")]
    assert annotated.types_by_id["XC4"] == {"song", "call"} and "XC5" not in annotated.stretches
    assert annotated.unused == {"of other species": 1, "type 'x'": 1, "of recordings that are not there": 1}
    assert "5 of 3 recordings, evaluated only; not used: " in annotated.line(is_trained_on=False)


def test_an_impossible_value_raises():
    for value in ("auto", "evaluate", True, False):
        check_annotations(value)
    for value in ("yes", 1, None):
        with pytest.raises(ValueError, match="choose auto, true, false or evaluate"):
            check_annotations(value)


def test_the_demo_gets_exact_times_and_nothing_else_changes(tmp_path):
    from birdnet_nl.recordings.annotations import read_annotations
    from birdnet_nl.synthetic.demo import make_demo_species
    from birdnet_nl.synthetic.demo_times import write_demo_annotations
    from birdnet_nl.synthetic.plan import plan_recordings
    from birdnet_nl.synthetic.scene import sing, utterance_times

    folder = make_demo_species(tmp_path, "koolmees", recordings_per_type=1, median_s=2.0, progress=False)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write_demo_annotations([read_species_folders([folder], get_species("koolmees"))])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path in before} == before
    annotations = read_annotations(folder)
    plans = {plan.file_name: plan for plan in plan_recordings("koolmees", 1, 0, "normal", 2.0)}
    assert {annotation.recording for annotation in annotations} == set(plans)
    for plan in plans.values():
        rate_hz = plan.recordist.sample_rate_hz
        track = sing(plan, np.random.default_rng([*plan.seed, 2]), round(plan.duration_s * rate_hz))
        inside = np.zeros(len(track), bool)
        for start_s, end_s, name in utterance_times(plan):
            assert name in {*plan.actual_types, plan.stray} and 0 <= start_s < end_s <= plan.duration_s + 0.01
            inside[round(start_s * rate_hz) : round(end_s * rate_hz)] = True
        assert not track[~inside].any() and track[inside].any()

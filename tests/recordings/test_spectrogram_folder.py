"""The original's spectrograms are grouped into recordings by their file names."""

from pathlib import Path

from birdnet_nl.recordings.spectrogram_folder import (
    read_spectrogram_folder,
    segment_files,
    species_of_spectrogram_folder,
)
from birdnet_nl.species.table import get_species

MEREL = get_species("merel")


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_the_folder_is_found_by_any_name_of_the_species_but_only_with_its_prefix():
    for name in ("spectrograms-merel", "Spectrograms-Turdus merula", "spectrograms_Eurasian Blackbird"):
        assert species_of_spectrogram_folder(Path(name)) == MEREL
    assert species_of_spectrogram_folder(Path("xeno-canto-merel")) is None
    assert species_of_spectrogram_folder(Path("merel")) is None


def test_segments_of_one_recording_belong_together_in_the_order_of_their_numbers(tmp_path):
    names = ("song/XC1_seg002.npy", "song/XC1_seg010.npy", "song/XC1_seg001.npy", "song/XC12_seg001.npy")
    folder = touch(tmp_path / "spectrograms-merel", *names, "call/XC3_seg000.npy", "call/notes.txt")
    recordings = {recording.id: recording for recording in read_spectrogram_folder(folder, MEREL)}
    assert {id: recording.vocalization_type for id, recording in recordings.items()} == {
        "XC1": "song",
        "XC12": "song",
        "XC3": "call",
    }
    assert [path.name for path in segment_files(recordings["XC1"])] == [
        "XC1_seg001.npy",
        "XC1_seg002.npy",
        "XC1_seg010.npy",
    ]
    assert [path.name for path in segment_files(recordings["XC12"])] == ["XC12_seg001.npy"]


def test_a_recording_cut_into_two_types_is_of_several(tmp_path):
    folder = touch(tmp_path / "spectrograms-merel", "song/XC1_seg000.npy", "call/XC1_seg001.npy")
    (recording,) = read_spectrogram_folder(folder, MEREL)
    assert recording.vocalization_type is None


def test_a_manifest_gives_the_recordist(tmp_path):
    folder = touch(tmp_path / "spectrograms-merel", "song/XC1_seg000.npy")
    (folder / "recordings.csv").write_text("xc_id,type,recordist\n1,song,A. Merel\n", encoding="utf-8")
    (recording,) = read_spectrogram_folder(folder, MEREL)
    assert recording.recordist == "A. Merel"

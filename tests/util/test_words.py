import pytest

from birdnet_nl.util.words import counted


@pytest.mark.parametrize(("count", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_one_is_singular(count, text):
    assert counted(count, "file") == text


def test_a_verb_follows_the_count():
    assert [counted(count, "file was", "files were") for count in (1, 3)] == ["1 file was", "3 files were"]

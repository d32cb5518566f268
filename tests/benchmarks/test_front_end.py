"""The benchmark runs and compares like with like; its times are nobody's test."""

from benchmarks.front_end import STAGES, Sound, measure, show


def test_ours_and_librosas_front_ends_are_timed_stage_by_stage_and_agree(repository, capsys):
    result = measure([Sound(3.5, 1), Sound(4.0, 2)], rounds=2)
    assert set(result) == {path.stem for path in (repository / "conf" / "mel").glob("*.yaml")}
    for name, front in result.items():
        assert set(front) == {"ours", "librosa", "times_as_fast", "largest_difference_db"}
        stages = {*STAGES, "total", "write"} - {"median"}
        assert set(front["librosa"]) == stages
        assert set(front["ours"]) == stages | ({"median"} if name.startswith("wide") else set())
        measured = stages - {"mel"}  # ours is a difference of two, which other work on the machine can turn around
        assert all(front[way][stage] > 0 for way in ("ours", "librosa") for stage in measured)
        assert front["largest_difference_db"] < 0.01
    show(result)
    assert "times as fast; largest difference" in capsys.readouterr().out

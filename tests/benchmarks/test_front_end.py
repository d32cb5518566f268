"""Both front ends are timed by stage and agree; the times themselves are not tested."""

from benchmarks.front_end import STAGES, Sound, measure, show


def test_both_front_ends_are_timed_by_stage_and_agree(repository, capsys):
    result = measure([Sound(3.2, 1), Sound(3.6, 2)], rounds=1)
    assert set(result) == {path.stem for path in (repository / "conf" / "mel").glob("*.yaml")}
    for name, front in result.items():
        assert set(front) == {"ours", "librosa", "times_as_fast", "largest_difference_db"}
        stages = {*STAGES, "total", "write"} - {"median"}
        assert set(front["librosa"]) == stages
        assert set(front["ours"]) == stages | ({"median"} if name.startswith("wide") else set())
        timed = stages - {"mel"}  # ours is a difference of two times, which other work on the machine can make negative
        assert all(front[side][stage] > 0 for side in ("ours", "librosa") for stage in timed)
        assert front["largest_difference_db"] < 0.01
    show(result)
    assert "times as fast; largest difference" in capsys.readouterr().out

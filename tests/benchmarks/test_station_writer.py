from benchmarks import station_writer


def test_both_sides_insert_all_rows_and_the_reader_finds_them(monkeypatch):
    monkeypatch.setattr(station_writer, "STORED", 100)
    result = station_writer.measure(inserts=30, turns=2, pause_s=0.002, timeout_s=0.0)
    assert result["with"]["lost"] == result["without"]["lost"] == 0
    assert result["with"]["p99_ms"] >= result["with"]["median_ms"] > 0
    assert [turn["detections"] for turn in result["reader"]] == [turn["rows"] for turn in result["reader"]]

"""Damaged, foreign and half-written files in the logs: listed or refused in one sentence; other runs are shown."""

import json
import shutil
from pathlib import Path

import pytest

from birdnet_nl.comparison.report_types import damage_of
from birdnet_nl.sweep.job_file import JobRecord, State, write_record
from birdnet_nl.sweep.jobs import Job
from birdnet_nl.sweep.sweep_file import Sweep, write_sweep

RUN = "sweep-1/legacy/koolmees/0"
FILES = [
    f"{RUN}/.hydra/overrides.yaml", f"{RUN}/config.yaml", f"{RUN}/heartbeat.json", f"{RUN}/job.json",
    f"{RUN}/metrics.json", f"{RUN}/predictions.csv", f"{RUN}/splits.csv", "sweep-1/multirun.yaml", "sweep-1/sweep.json",
]  # fmt: skip
DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),  # after a power failure
    "bytes": lambda content: b"\xff\xfe\x00\x01",
    "list": lambda content: b"[1, {}]",
    "null": lambda content: b"null",
    "foreign": lambda content: b'{"a": 1}',
    "nested": lambda content: b"[" * 20_000,
    "letters for digits": lambda content: content.replace(b"1", b"x"),
}


@pytest.fixture(scope="module")
def logs(make_finished_run, tmp_path_factory) -> Path:
    """Three finished runs of which two are a sweep."""
    logs = tmp_path_factory.mktemp("damaged") / "logs"
    make_finished_run(logs / "turbo/koolmees/2026-11-23", "turbo", "koolmees")
    jobs = []
    for name in ("legacy", "fast"):
        job = Job(("species=koolmees", f"trainer={name}"), f"{name}/koolmees/0", "koolmees", name)
        run_dir = make_finished_run(logs / "sweep-1" / job.folder, name, "koolmees")
        write_record(run_dir, JobRecord(State.DONE, started=1.0, ended=5.0))
        (run_dir / "splits.csv").write_text("id,split,type,licence\nXC1,train,song,CC BY-NC-SA 4.0\n")
        (run_dir / "heartbeat.json").write_text('{"epoch": 3, "epochs": 12}')
        (run_dir / "config.yaml").write_text("species: {slug: koolmees}\nseed: 1\n")
        jobs.append(job)
    write_sweep(Sweep(logs / "sweep-1", ("species=koolmees", "trainer=legacy,fast"), tuple(jobs), 1.0))
    task = "{overrides: {task: [species=koolmees, 'trainer=legacy,fast']}, runtime: {choices: {trainer: fast}}}"
    (logs / "sweep-1/multirun.yaml").write_text(f"hydra: {task}\n")
    return logs


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_hides_no_other_run(cli, logs, tmp_path, name):
    for damage, change in DAMAGES.items():
        copy = tmp_path / damage
        shutil.copytree(logs, copy)
        path = copy / name
        path.write_bytes(change(path.read_bytes()))
        result = cli("status", copy, "--json")
        if name.endswith("sweep.json"):
            assert "create it again with birdnet-nl status" in result.output, damage
            assert cli("status", copy, "--rebuild").exit_code == 0
        else:
            rows = {row["parameter_set"]: row for row in json.loads(result.stdout)["jobs"]}
            assert rows["fast"]["state"] == "done" and rows["fast"]["balanced_accuracy"], damage
            assert (rows["legacy"]["state"] == "failed") == name.endswith("metrics.json"), damage
            assert ("metrics.json is damaged: delete it" in rows["legacy"]["reason"]) == name.endswith("metrics.json")
        compared = cli("compare", copy, "--baseline", "fast")
        assert compared.exit_code == 0 and "turbo" in compared.output, (damage, compared.output)
        if name.endswith(("metrics.json", "predictions.csv")) and damage != "letters for digits":
            assert RUN in compared.output.replace("\n", ""), (damage, compared.output)  # listed with the reason
        if name.endswith("metrics.json") and damage in ("empty", "half", "zeros", "bytes", "nested"):
            assert "is not complete JSON; delete it" in cli("rerun", copy / RUN).output
        shutil.rmtree(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_place_of_a_file_hides_no_other_run(cli, logs, tmp_path, name):
    shutil.copytree(logs, tmp_path / "logs")
    (tmp_path / "logs" / name).unlink()
    (tmp_path / "logs" / name).mkdir()
    assert "fast" in cli("status", tmp_path / "logs").output
    assert cli("compare", tmp_path / "logs", "--baseline", "fast").exit_code == 0


def test_a_value_of_another_kind_is_damage(logs):
    report = json.loads((logs / RUN / "metrics.json").read_text())
    assert damage_of(report) == ""
    for key, value in report.items():
        if value is None or key in ("left_out", "versions"):
            continue
        for other in (5, "x", [5], {"a": {"b": "c"}}):
            if type(other) is not type(value):
                assert damage_of({**report, key: other}), (key, other)
        assert damage_of({**report, key: None}) == "" or key == "results"
    scores = report["results"]["recording"]
    for wrong in ({"balanced_accuracy": "0.5"}, {"balanced_accuracy": True}, {"intervals": {"auroc": [0.1, "x"]}}):
        text = damage_of({**report, "results": {"recording": scores | wrong}})
        assert text.startswith("the value of results.recording.") and text.endswith("is of another kind")

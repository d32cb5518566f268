"""A pack holds one file per species, shares base networks, lists credits, and is small."""

import hashlib
import importlib.util
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.deploy.export_pack import export_pack
from birdnet_nl.deploy.versions import Version, sha256_of
from birdnet_nl.inference.model import load_exported, load_model
from birdnet_nl.inference.torch_model import TorchModel
from birdnet_nl.species.table import all_species, get_species
from birdnet_nl.util.errors import RunError

spec = importlib.util.spec_from_file_location("model_factory", Path(__file__).parents[1] / "inference/model_factory.py")
factory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(factory)

SPLITS = (
    "id,split,type,recordist,quality,licence,file\n"
    "XC1,train,song,Ann,A,CC BY-NC-SA 4.0,a.mp3\nXC2,val,call,Ben,B,CC BY-NC-ND 4.0,b.mp3\nXC3,test,call,Cor,B,,c.mp3\n"
)
REPORT = {
    "counts": {"recordings": {"train": {"song": 30, "call": 40, "alarm": 9}}},
    "results": {
        "recording": {
            "balanced_accuracy": 0.71, "auroc": 0.85, "accuracy": 0.8, "macro_f1": None, "count": 26,
            "intervals": {"balanced_accuracy": [0.6, 0.8]}, "recall": {"song": 0.9, "call": 0.8, "alarm": 0.4},
            "counts": {"song": 10, "call": 12, "alarm": 4},
        }
    },
    "decision": {"target_accuracy": 0.8},
}  # fmt: skip


def make_version(folder: Path, models: dict[str, dict], name: str = "2026Q4") -> Version:
    """A version with the models of `factory.make_checkpoint`, by slug."""
    entries = {}
    for slug, options in models.items():
        path = folder / name / slug / "best.ckpt"
        if options.get("kind") == "birdnet":
            factory.make_birdnet_checkpoint(path, head=True, seed=options["seed"], species=asdict(get_species(slug)))
        elif "kind" in options:
            factory.make_embedding_checkpoint(path, **options)
        else:
            factory.make_checkpoint(path, slug=slug, **options)
        (path.parent / "splits.csv").write_text(SPLITS)
        (path.parent / "metrics.json").write_text(json.dumps(REPORT))
        entries[slug] = {
            "file": f"{slug}/best.ckpt", "sha256": sha256_of(path.read_bytes()), "species": asdict(get_species(slug)),
            "pool": None, "types": ["song", "call", "alarm"], "synthetic": False,
        }  # fmt: skip
    manifest = {"version": name, "made": "2026-11-30", "models": entries}
    (folder / name / "manifest.json").write_text(json.dumps(manifest))
    return Version(name, folder / name, manifest)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Two heads on one base, heads on another base and on a classifier of embeddings, and a network of its own."""
    folder = tmp_path_factory.mktemp("pack")
    models = {
        "koolmees": {"network": factory.HEAD, "seed": 1, "temperature": 0.9},
        "merel": {"network": factory.HEAD, "seed": 2, "threshold": None},
        "vink": {"network": factory.HEAD, "seed": 3, "base_seed": 7},
        "ekster": {"seed": 4},
        "roodborst": {"kind": "frozen", "head": True, "species": asdict(get_species("roodborst"))},
    }
    version = make_version(folder / "models", models)
    return version, export_pack(version, folder / "pack")


@pytest.fixture
def sound(tmp_path):
    rng, time_s = np.random.default_rng(0), np.arange(32_000 * 5) / 32_000
    samples = 0.2 * np.sin(2 * np.pi * 3000 * time_s) * (np.sin(6 * time_s) > 0) + rng.normal(0, 0.02, len(time_s))
    soundfile.write(tmp_path / "bird.wav", samples, 32_000)
    return tmp_path / "bird.wav"


def test_heads_share_their_base_and_predict_as_their_checkpoints(pack, sound, monkeypatch):
    monkeypatch.setattr("birdnet_nl.inference.classifier.cpu_computes_bf16", lambda: False)
    version, written = pack
    files = {path.name for path in written.folder.glob("*.onnx")}
    assert written.bases == 3 and len(files) == 8 and len(written.models) == 5
    predictions = {}
    for slug in written.models:
        model = load_model(written.folder / f"{slug}.onnx")
        assert model.name == f"{slug} 2026Q4" and model.species == (slug,)
        predictions[slug] = model.predict_file(sound)
        expected = TorchModel.load(version.model_path(slug)).predict_file(sound)
        assert np.abs(predictions[slug].probabilities - expected.probabilities).max() < 1e-3
        assert np.abs(predictions[slug].recording - expected.recording).max() < 1e-3
    assert np.abs(predictions["koolmees"].recording - predictions["merel"].recording).max() > 1e-3


def test_the_manifest_has_the_checksum_of_every_file(pack):
    _, written = pack
    manifest = json.loads((written.folder / "manifest.json").read_text())
    on_disk = {path.relative_to(written.folder).as_posix() for path in written.folder.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == on_disk - {"manifest.json"}
    for name, checksum in manifest["files"].items():
        assert hashlib.sha256((written.folder / name).read_bytes()).hexdigest() == checksum
    for entry in manifest["models"].values():
        assert manifest["files"][entry["file"]] == entry["sha256"] and (written.folder / entry["card"]).is_file()
    assert written.bytes == sum(path.stat().st_size for path in written.folder.rglob("*") if path.is_file())


def test_recordings_are_credited_and_each_species_has_a_model_card(pack):
    _, written = pack
    credits = (written.folder / "ATTRIBUTION.md").read_text()
    assert "XC1, Ann, CC BY-NC-SA 4.0" in credits and "XC2, Ben, CC BY-NC-ND 4.0" in credits and "XC3" not in credits
    assert "Not tested" not in (card := (written.folder / "cards/koolmees.md").read_text())
    for text in ("Great Tit (Koolmees, *Parus major*)", "train: song 30, call 40, alarm 9", "| 0.71 | 0.60 to 0.80 |",
                 "recall of alarm (4) | 0.40", "fewer than 10 recordings of: alarm 4", "below 0.50 is uncertain",
                 "accuracy of 80%", "CC BY-NC-SA 4.0 (1)", "## Limits", "## Licence"):  # fmt: skip
        assert text in card, text
    assert "every prediction is uncertain" in (written.folder / "cards/merel.md").read_text()


def test_a_head_without_its_base_is_refused_in_one_sentence(pack, tmp_path):
    _, written = pack
    alone = shutil.copytree(written.folder, tmp_path / "pack")
    base = json.loads(json.dumps(load_model(alone / "koolmees.onnx").metadata["base"]["file"]))
    other = next(path.name for path in alone.glob("base-*.onnx") if path.name != base)
    shutil.copy(alone / other, alone / base)
    with pytest.raises(RunError, match=r"is not the file that .*koolmees\.onnx was exported with"):
        load_model(alone / "koolmees.onnx")
    (alone / base).unlink()
    with pytest.raises(RunError, match=r"needs .*base-.*, which is missing; keep the files of a pack together"):
        load_model(alone / "koolmees.onnx")


def test_heads_on_birdnets_embeddings_share_their_base_and_name_its_licence(tmp_path):
    models = {"koolmees": {"kind": "birdnet", "seed": 1}, "merel": {"kind": "birdnet", "seed": 2}}
    exported = export_pack(make_version(tmp_path / "models", models), tmp_path / "pack")
    assert exported.bases == 1 and not exported.left_out
    fingerprints = {load_exported(tmp_path / "pack" / f"{slug}.onnx").fingerprint for slug in models}
    assert len(fingerprints) == 2
    card = (tmp_path / "pack/cards/merel.md").read_text()
    assert "embeddings of birdnet: CC BY-NC-SA 4.0" in card and "needs the extra birdnet-nl[birdnet]" in card
    assert "BirdNET V2.4, K. Lisa Yang Center" in (tmp_path / "pack/ATTRIBUTION.md").read_text()


def test_a_pack_is_never_written_over_and_never_half_written(pack, tmp_path):
    version, written = pack
    with pytest.raises(RunError, match="exists already"):
        export_pack(version, written.folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        export_pack(version, tmp_path / "file" / "pack")
    broken = make_version(tmp_path / "models", {"koolmees": {}, "merel": {}})
    broken.model_path("merel").write_bytes(b"damaged")
    with pytest.raises(RunError, match="merel"):
        export_pack(broken, tmp_path / "pack")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "models"]


@pytest.mark.slow
def test_a_pack_of_all_species_is_below_50_mb(tmp_path):
    network = factory.HEAD | {"base": factory.COMPACT | {"channels": [32, 64, 128]}}
    models = {species.slug: {"network": network, "seed": index} for index, species in enumerate(all_species())}
    written = export_pack(make_version(tmp_path / "models", models), tmp_path / "pack")
    assert len(written.models) == 232 and written.bases == 1
    assert written.bytes < 50e6, f"{written.bytes / 1e6:.1f} MB"
    print(f"pack of 232 heads on one base: {written.bytes / 1e6:.1f} MB")


def run(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_the_command_exports_a_run_and_a_version(tmp_path):
    version = make_version(tmp_path / "models", {"koolmees": {"seed": 1}, "merel": {"seed": 2}})
    done = run(version.model_path("koolmees"), "-o", tmp_path / "koolmees.onnx")
    assert done.exit_code == 0 and "exported koolmees" in done.output
    attribution = load_model(tmp_path / "koolmees.onnx").metadata["attribution"]
    assert attribution == ["XC1, Ann, CC BY-NC-SA 4.0", "XC2, Ben, CC BY-NC-ND 4.0"]
    done = run(version.folder, "-o", tmp_path / "pack")
    assert done.exit_code == 0 and "exported 2 models" in done.output
    assert load_model(tmp_path / "pack/merel.onnx").metadata["attribution"] == "ATTRIBUTION.md"


@pytest.mark.parametrize(
    ("target", "out", "message"),
    [
        ("run", "pack", "must end with .onnx"),
        ("version", "pack.onnx", "must be a folder"),
        ("nothing", "model.onnx", "does not exist"),
        ("nothing", "pack", "does not exist"),
        ("run", "file/model.onnx", "cannot be written"),
    ],
)
def test_the_command_explains_what_is_wrong(target, out, message, tmp_path):
    version = make_version(tmp_path / "models", {"koolmees": {}})
    (tmp_path / "file").write_text("")
    path = {"run": version.model_path("koolmees"), "version": version.folder, "nothing": tmp_path / "nothing"}[target]
    done = run(path, "-o", tmp_path / out)
    assert done.exit_code == 1 and message in done.output.replace("\n", " "), done.output


def test_the_version_is_left_out_where_a_model_has_no_onnx_form(tmp_path, monkeypatch):
    version = make_version(tmp_path / "models", {"koolmees": {}, "merel": {}})
    from birdnet_nl.deploy import export_pack as module

    def check(classifier):
        if classifier.metadata["species"]["slug"] == "merel":
            raise RunError("merel is an Other, which has no ONNX form")

    monkeypatch.setattr(module, "check_exportable", check)
    done = run(version.folder, "-o", tmp_path / "pack")
    assert done.exit_code == 1 and "left out merel: merel is an Other" in done.output
    assert json.loads((tmp_path / "pack/manifest.json").read_text())["left_out"].keys() == {"merel"}

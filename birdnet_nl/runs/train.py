"""One run, from a configuration to a trained, tested and logged classifier.

It walks the whole route, so it stands at its end and may import all of it.

The configuration is read here and nowhere below; everything else receives plain values and objects.
"""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from birdnet_nl import __version__
from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.splits import read_splits, write_splits
from birdnet_nl.evaluation.decision import check_accuracy
from birdnet_nl.evaluation.report import print_result
from birdnet_nl.models.registry import build_network, check_network
from birdnet_nl.runs.base_model import BaseRun, check_not_seen, check_same_source, load_base_run, print_head_summary
from birdnet_nl.runs.fit import ctrl_c_raises, train
from birdnet_nl.runs.phases import Phases
from birdnet_nl.runs.practice import PracticeUsed, find_practice
from birdnet_nl.runs.report import describe_run, peak_memory_mb, print_data_summary, print_source
from birdnet_nl.runs.teaching import check_unteachable, describe_teacher, find_teacher, lesson_of, tell_about_teacher
from birdnet_nl.runs.test import show_run, test_run
from birdnet_nl.species.table import Species
from birdnet_nl.training.callbacks import Heartbeat
from birdnet_nl.training.checkpoint import CARD, WholeCheckpoints, load_weights, read_checkpoint
from birdnet_nl.training.embedding_module import EmbeddingClassifier
from birdnet_nl.training.engine import EngineState
from birdnet_nl.training.head_module import HeadClassifier
from birdnet_nl.training.imitating import LEARNED, learn_to_hear
from birdnet_nl.training.module import TypeClassifier
from birdnet_nl.training.teacher import Lesson
from birdnet_nl.util.console import display_path, info
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import write_text_atomic
from birdnet_nl.util.run_directory import (
    BEST,
    HEARTBEAT,
    LAST,
    METRICS,
    SPLITS_FILE,
    SYNTHETIC,
    claim,
    read_json,
    resumable_checkpoint,
    write_json,
)


def run(cfg: DictConfig, run_dir: Path, resume: bool = False) -> float:
    """Train and test as `cfg` says, in `run_dir`; returns the validation balanced accuracy per recording.

    With `resume` the run in `run_dir` goes on from its last finished epoch.
    """
    _quiet_libraries()
    if not resume:
        claim(run_dir, cfg)
    try:
        return _run(cfg, run_dir.resolve(), resume)
    except BaseException:
        if resumable_checkpoint(run_dir) is not None:
            info(f"stopped; its finished epochs are kept, go on with: python train.py resume={display_path(run_dir)}")
        raise


def _run(cfg: DictConfig, run_dir: Path, resume: bool) -> float:
    if resume and (run_dir / METRICS).is_file():
        report = read_json(run_dir / METRICS)
        info(f"{display_path(run_dir)} is finished already; this is its result")
        print_result(report, run_dir)
        return report["validation"]["recording_balanced_accuracy"]
    _check_nonsense(cfg)
    _check_half_a_head(cfg)
    if cfg.teacher:
        check_unteachable(cfg.loss.kind, cfg.data.source, fitted_at_once=bool(cfg.base or cfg.data.features))
    check_accuracy(cfg.evaluation.wanted_accuracy)
    phases = Phases()
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    species, mel = Species(**cfg.species), instantiate(cfg.mel)
    base = load_base_run(Path(cfg.base)) if cfg.base else None
    engine_switches = instantiate(cfg.engine)  # before anything takes time: these may refuse their values
    instantiate(cfg.augment)
    instantiate(cfg.loss)
    if base is None:
        check_network(OmegaConf.to_container(cfg.model, resolve=True))
    practice_settings = instantiate(cfg.practice)
    teacher = find_teacher(Path(cfg.teacher), cfg.seed, cfg.data.folds, cfg.data.fold) if cfg.teacher else None
    settings = base.data_settings() if base else {"mel": mel}
    data: SpeciesDataModule = instantiate(cfg.data, species=species, **settings, _convert_="object")
    if base is not None:
        check_same_source(base, data)
    print_source(data)
    with phases.phase("prepare"):
        data.prepare(before_features=lambda: learn_to_hear(data, run_dir))
    print_data_summary(data)
    if base is not None:
        check_not_seen(base, data)
        print_head_summary(base, data)
    if data.synthetic:
        write_text_atomic(run_dir / SYNTHETIC, "Trained and tested on synthetic demo recordings.\n")
    _write_or_check_splits(data, run_dir, resume)

    with engine_switches.applied(cfg.trainer.accelerator) as engine:
        info(f"[dim]engine: {engine}[/]")
        lesson = lesson_of(teacher, data, cfg.teacher_knows_test, run_dir) if teacher else None
        taught = describe_teacher(teacher)
        tell_about_teacher(taught)
        practice = find_practice(practice_settings, _network_description(cfg, data, base), data)
        module = _build_module(cfg, data, engine, base, taught, lesson, practice)
        trainer = _build_trainer(cfg, run_dir, engine)
        train(trainer, module, data, run_dir, resume)
        best = read_checkpoint(run_dir / BEST)
        load_weights(module, best)
        best_row = best[CARD]["history"][-1]
        with phases.phase("test"), ctrl_c_raises(trainer):
            results = test_run(trainer, module, data, run_dir, cfg.evaluation.wanted_accuracy, base)
        report = describe_run(cfg, data, module, engine, best_row) | results.report
        with phases.phase("figures"):
            show_run(run_dir, trainer, data, results, report, with_figures=cfg.evaluation.figures)
        if trainer.logger is not None:
            trainer.logger.finalize("success")
    trained_s = round(sum(row["seconds"] for row in module.history), 2)  # also what came before a resume
    report["seconds"] = {"train": trained_s, **phases.finished()}
    report["peak_memory_mb"] = peak_memory_mb()
    write_json(run_dir / METRICS, report)
    for for_resuming in (LAST, LEARNED):  # a finished run goes on no more
        (run_dir / for_resuming).unlink(missing_ok=True)
    print_result(report, run_dir)
    return report["validation"]["recording_balanced_accuracy"]


def _check_nonsense(cfg: DictConfig) -> None:
    """Values that go to libraries which would answer with a traceback."""
    if not isinstance(cfg.practice, DictConfig):
        raise ValueError(f"practice={cfg.practice} must be practice.use={cfg.practice}, with auto, never or a file")
    for name, kind, least in (("seed", int, 0), ("trainer.max_epochs", int, 1), ("optimizer.lr", (int, float), 1e-12)):
        value = OmegaConf.select(cfg, name)
        if isinstance(value, bool) or not isinstance(value, kind) or value < least:
            what = "a whole number" if kind is int else "a number"
            raise ValueError(f"{name}={value} must be {what}, {'at least ' + str(least) if kind is int else 'above 0'}")


def _check_half_a_head(cfg: DictConfig) -> None:
    headed = cfg.model._target_.endswith(".HeadedNetwork")
    if headed and not cfg.base:
        raise ValueError(
            "trainer=head needs trunk=<run directory>, a finished run of several species; make one with python "
            "train.py data.pool=all trainer=turbo, or with model=practised or birdnet"
        )
    if cfg.base and not headed:
        raise ValueError(f"trunk={cfg.base} is for trainer=head; add that, or leave out trunk")
    if headed and cfg.data.source == "spectrograms":
        raise ValueError("data=spectrograms holds parts of recordings, and a head needs whole ones; give recordings")


def _network_description(cfg: DictConfig, data: SpeciesDataModule, base: BaseRun | None) -> dict[str, Any]:
    description = {**OmegaConf.to_container(cfg.model, resolve=True), "types": len(data.prepared.types)}
    return description if base is None else description | base.network_settings(data.species.slug)


def _build_module(
    cfg: DictConfig,
    data: SpeciesDataModule,
    engine: EngineState,
    base: BaseRun | None,
    taught: Mapping[str, Any],
    lesson: Lesson | None,
    practice: PracticeUsed,
) -> TypeClassifier:
    description = _network_description(cfg, data, base)
    card = {
        "version": __version__,
        "species": asdict(data.species),
        "types": data.prepared.types,
        "mel": asdict(data.mel),
        "segment_s": data.segment_s,
        "segment_hop_s": data.segment_hop_s,
        "network": description,
        "temperature": 1.0,
        "parameter_set": cfg.parameter_set,
        "seed": cfg.seed,
        "synthetic": data.synthetic,
        "pool": data.pool,
        "shuffled_types": data.shuffle_types,
        **taught,
        "data_fingerprint": data.prepared.fingerprint,
        "features": data.features.describe() if data.features else None,
        "feature_weights": data.features.weights() if data.features else None,
        "trunk": str(base.run_dir.resolve()) if base else None,
        "practice": dict(practice.card) if practice.card else None,
    }
    network = build_network(description)
    settings: dict[str, Any] = {"optimizer": instantiate(cfg.optimizer)}
    if practice.weights is not None:
        practice.weights.give_to(network, data.prepared.types)
        rate = cfg.optimizer.lr * cfg.practice.rate_share
        settings = {"optimizer": instantiate(cfg.optimizer, lr=rate), "practised": True}
    elif practice.batch is not None:
        settings |= {"practice": practice.batch, "practice_weight": cfg.practice.weight}
    if data.multilabel_batch is not None:
        settings |= {"several": data.multilabel_batch, "several_weight": data.multilabel_weight}
    if base is not None:
        base.give_weights(network, data.recording_counts()["train"])
    hears_mels = TypeClassifier if base is None else HeadClassifier
    kind = hears_mels if data.features is None else EmbeddingClassifier
    classifier = kind(
        network=network,
        mel=data.mel,
        types=data.prepared.types,
        class_weights=data.class_weights(of_recordings=kind is not TypeClassifier),
        scheduler=instantiate(cfg.scheduler),
        augment=instantiate(cfg.augment),
        loss=instantiate(cfg.loss),
        seed=cfg.seed,
        card=card,
        channels_last=engine.channels_last,
        lean_blocks=engine.lean_blocks,
        bag=data.crops.bag if data.crops else 1,
        shares=data.crop_dataset.shares if data.crops and data.multilabel.recordings else None,
        lesson=lesson,
        **settings,
    )
    if base is not None:
        base.give_earlier_weights(classifier)
    return classifier


def _build_trainer(cfg: DictConfig, run_dir: Path, engine: EngineState) -> L.Trainer:
    callbacks = [instantiate(callback) for callback in cfg.callbacks.values() if callback is not None]
    callbacks.append(Heartbeat(run_dir / HEARTBEAT))
    for callback in callbacks:
        if isinstance(callback, L.pytorch.callbacks.ModelCheckpoint):
            callback.dirpath = str(run_dir / BEST.parent)
    logger = instantiate(cfg.logger, save_dir=str(run_dir)) if cfg.logger else False
    precision = {"fp32": "32-true", "bf16": "bf16-mixed"}[engine.precision]
    return instantiate(
        cfg.trainer,
        callbacks=callbacks,
        logger=logger,
        precision=precision,
        plugins=[WholeCheckpoints()],
        default_root_dir=str(run_dir),
    )


def _write_or_check_splits(data: SpeciesDataModule, run_dir: Path, resume: bool) -> None:
    path, splits = run_dir / SPLITS_FILE, data.all_splits
    if resume and path.is_file() and read_splits(path) != splits:
        raise RunError(
            f"the recordings or their splits are no longer those of {path}; start a new run, its results would be mixed"
        )
    write_splits(path, [*data.prepared.recordings, *data.multilabel.recordings], splits)


def _quiet_libraries() -> None:
    """Keep libraries' remarks out of the screen; warnings go to the run's log."""
    logging.captureWarnings(True)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (".*does not have many workers.*", ".*LeafSpec.*"):
        warnings.filterwarnings("ignore", message=message)

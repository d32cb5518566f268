"""One run: from a configuration to a trained, tested and logged classifier."""

from pathlib import Path

import lightning as L
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.markup import escape

from birdnet_nl.evaluation.report import print_result
from birdnet_nl.runs.final import final_settings, finish_final, print_folds, read_folds, warn_of_other_recordings
from birdnet_nl.runs.fit import build_trainer, check_values, fit, quiet_libraries, write_or_check_splits
from birdnet_nl.runs.report import PhaseTimer, describe_run, print_data_summary, print_source
from birdnet_nl.runs.test import show_run, test
from birdnet_nl.training.checkpoint import METADATA, load_weights, read_checkpoint
from birdnet_nl.util.console import display_path, info
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import write_text_atomic
from birdnet_nl.util.printed_commands import train_command
from birdnet_nl.util.run_directory import (
    BEST,
    LAST,
    METRICS,
    SYNTHETIC,
    claim,
    read_json,
    resumable_checkpoint,
    write_json,
)
from birdnet_nl.util.signals import set_advice


def run(cfg: DictConfig, run_dir: Path, resume: bool = False) -> float:
    """Train and test as `cfg` says, in `run_dir`.

    Args:
        cfg: the composed configuration (`conf/train.yaml`).
        run_dir: directory of the run, which must not hold another.
        resume: continue the run in `run_dir` from its last finished epoch.

    Returns:
        The validation balanced accuracy per recording, 0 to 1.
    """
    quiet_libraries()
    if not resume:
        claim(run_dir, cfg)
    elif (run_dir / METRICS).is_file():
        report = read_json(run_dir / METRICS)
        info(f"{display_path(run_dir)} is finished already; this is its result")
        print_result(report, run_dir)
        return report["validation"]["recording_balanced_accuracy"]
    command = train_command(resume=run_dir)
    set_advice(f"finished work is kept, continue with: {command}")
    try:
        return train(cfg, run_dir.resolve(), resume)
    except RunError:  # a checkpoint that cannot be resumed, or a training that diverges again
        raise
    except BaseException as error:
        if resumable_checkpoint(run_dir) is not None:
            info(f"stopped; finished epochs are kept, continue with: {escape(command)}")
        elif isinstance(error, KeyboardInterrupt):
            info(f"stopped; what was prepared is kept, continue with: {escape(command)}")
        raise


def train(cfg: DictConfig, run_dir: Path, resume: bool) -> float:
    """As `run`, in a directory that is this run's own."""
    folds = read_folds(cfg, run_dir) if cfg.get("final") else None
    if folds is not None:
        print_folds(folds)
        cfg = final_settings(cfg, folds)
    check_values(cfg)
    timer = PhaseTimer()
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    with instantiate(cfg.engine).applied(cfg.trainer.accelerator) as engine:
        datamodule = instantiate(cfg.data, _convert_="all")
        module = instantiate(cfg.module, _convert_="all")  # both check their values
        module.engine = engine
        trainer = build_trainer(cfg, run_dir, engine)

        print_source(datamodule)
        with timer.phase("prepare"):
            datamodule.setup()
        print_data_summary(datamodule)
        info(f"[dim]engine: {engine}[/]")
        if datamodule.synthetic:
            write_text_atomic(run_dir / SYNTHETIC, "Trained and tested on synthetic demo recordings.\n")
        write_or_check_splits(datamodule, run_dir, resume)
        if folds is not None:
            warn_of_other_recordings(folds, datamodule.prepared)

        module.build(datamodule)  # before Lightning does, which sets up callbacks first: averaging copies the network
        fit(trainer, module, datamodule, run_dir, resume)
        best = read_checkpoint(run_dir / BEST)
        load_weights(module, best)
        best_row = best[METADATA]["history"][-1]

        target_accuracy = cfg.evaluation.target_accuracy
        report = describe_run(cfg, datamodule, module, engine, best_row)
        if folds is not None:
            report |= finish_final(run_dir, folds, target_accuracy)
        else:
            with timer.phase("test"):
                results = test(trainer, module, datamodule, run_dir, target_accuracy)
            report |= results.report
            with timer.phase("plots"):
                show_run(run_dir, trainer, datamodule, results, report, with_plots=cfg.evaluation.plots)
        for logger in trainer.loggers:
            logger.finalize("success")
    report |= timer.report(module.history)
    write_json(run_dir / METRICS, report)  # last: a run without it did not finish
    (run_dir / LAST).unlink(missing_ok=True)  # a finished run is not resumed
    print_result(report, run_dir)
    return report["validation"]["recording_balanced_accuracy"]

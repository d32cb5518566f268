"""train.py trains one classifier for one species: is it song, call or alarm?

EXAMPLES
  python train.py species=koolmees trainer=fast
  python train.py species="great tit" data.root=/nas/recordings       Dutch, English or Latin name
  python train.py -m species=koolmees,merel trainer=legacy,fast       every combination
  python train.py data.pool=[koolmees,merel] trainer=turbo            one network for several species; also: all
  python train.py -m data.pool=all data.folds=5 data.fold=0,1,2,3,4   cross-validation
  python train.py data.pool=all trainer=turbo teacher=<run directory>  a small student of a finished run
  python train.py -m species=priority1                                also: all, 'zwarte_*'
  python train.py -m species=all trainer=turbo launcher=ray           on all cores, or a cluster; also: slurm
  python train.py -m species=koolmees sweeper=optuna trainer=turbo    search for better parameter values
  python train.py species=koolmees trainer.max_epochs=5 seed=2        any value below
  python train.py data.pool=all model=birdnet data.root=/nas/xc       BirdNET's features, the extra [birdnet]
  python train.py species=vink trainer=head trunk=logs/birdnet/pool-all/<time>   a head of its own, in seconds
  python train.py resume=logs/fast/koolmees/<time>                    go on with a run that was stopped
  python train.py --cfg job trainer=fast                              show the parameters, start nothing

CHOICES (group=option)
  species   one of 232, see birdnet_nl/species/species.csv; with TAB completion:
            eval "$(python train.py -sc install=bash)"
  trainer   parameter set: fast (default), legacy, turbo, head (with trunk=<run directory>)
  data      auto (default: your recordings, else the demo), demo, xeno_canto, spectrograms
  mel       front end: emsn (default, the original's), wide, wide_coarse
  model     network: emsn_cnn (default, the original's), compact_cnn, birdnet, bands, head
  augment   mels in training: none (default), mix_and_mask
  engine    auto (default), plain (no speed-ups)
  launcher  jobs of -m: basic (default, one after the other), ray, slurm, submitit_local (docs/scale.md)
  sweeper   what -m does: basic (default, every combination), optuna (searches parameter values)

VALUES most often changed
  data.root                   folder that holds xeno-canto-<species>/<song|call|alarm>/*.mp3
                              (default ./data, or the environment variable BIRDNET_NL_DATA); also an address such
                              as s3://bucket/recordings, copied into the cache
  data.max_segments_per_type  data.batch_size  data.num_workers  data.types=[song,call]
  data.shuffle_types=true     control: the result must be chance
  evaluation.wanted_accuracy  of the answers; what is less sure becomes "onzeker" (uncertain)
  data.split_by=segment       the original's leak, to see how it flatters
  teacher                     a finished run, or a sweep with one of the same seed and fold; loss.teacher_share,
                              loss.embedding_weight: how much of it is learned
  trainer.max_epochs  optimizer.lr  scheduler.patience  callbacks.early_stopping.patience
  engine.threads  seed  paths.logs  paths.cache

Every value: python train.py --cfg job.   Hydra's own options: python train.py --hydra-help
"""
# Imports stay light here: TAB completion and --help run this file.

import os
import sys
import traceback
from pathlib import Path

os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # let errors through: `main` turns them into one sentence
# Threads that wait sleep instead of spinning: on a machine that does other work too, training is several times faster.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads its OpenMP, so before anything else

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.markup import escape

from birdnet_nl.console import log, say, screen, shown
from birdnet_nl.errors import BirdnetNlError
from birdnet_nl.failure import explain
from birdnet_nl.species.selection import prepare_arguments, register_species

CONFIG_DIR = Path(__file__).resolve().parent / "conf"

failed_jobs: list[str] = []  # run directories of a sweep's failures, for the summary at its end

register_species()


def synthetic_mark(source: str, root: str | None, slug: str, pool: str | list[str] | None) -> str:
    """The end of a run directory's name: `-synthetic` when the run will use demo recordings."""
    from birdnet_nl.recordings.source import choose_sources
    from birdnet_nl.species.pool import pooled_species
    from birdnet_nl.species.table import get_species

    try:
        members = pooled_species(pool) if pool else [get_species(slug)]
        choices = choose_sources(source, root, members, group=isinstance(pool, str))
        return "-synthetic" if any(choice.synthetic for choice in choices.values()) else ""
    except (BirdnetNlError, ValueError):
        return ""  # the run itself says what is wrong


OmegaConf.register_new_resolver("synthetic_mark", synthetic_mark, replace=True)


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def train(cfg: DictConfig) -> float | None:
    """One job of Hydra's: a failing job of a sweep is told at once and does not stop the others."""
    hydra_config = HydraConfig.get()
    run_dir = Path(hydra_config.runtime.output_dir)
    say(
        f"[bold]{cfg.species.dutch}[/] ({cfg.species.scientific}), "
        f"trainer={cfg.parameter_set}, seed {cfg.seed} → {shown(run_dir)}"
    )
    try:
        from birdnet_nl.run import run  # torch and lightning: seconds, so only where they are needed

        return run(cfg, run_dir)
    except Exception as error:
        foreseen = tell(error)
        if hydra_config.mode != RunMode.MULTIRUN:
            if foreseen:
                sys.exit(1)  # before Hydra adds lines of its own
            raise
        if not foreseen:  # Hydra would show the first failure only, when all jobs are done
            screen.print_exception()
            log.exception("the job failed")
            error.told = True
        failed_jobs.append(shown(run_dir))
        traceback.clear_frames(error.__traceback__)  # Hydra keeps the error; it must not keep the network and the data
        raise


def resume(run_dir: Path, overrides: list[str]) -> None:
    """Go on with the run in `run_dir`; `overrides` such as `trainer.max_epochs=40` change its stored configuration."""
    from birdnet_nl.run_directory import change_config, log_to_file, read_config

    cfg = change_config(run_dir, read_config(run_dir), overrides)
    log_to_file(run_dir)
    say(f"[bold]{cfg.species.dutch}[/], trainer={cfg.parameter_set}, seed {cfg.seed}, resumed in {shown(run_dir)}")
    from birdnet_nl.run import run

    run(cfg, run_dir, resume=True)


def tell(error: BaseException) -> bool:
    """Show an error that was foreseen as one sentence; False when it needs its traceback."""
    if getattr(error, "told", False):
        return True
    sentence = explain(error, parameter_names)
    if sentence is None:
        return False
    error.told = True  # a sweep raises its first failure again when all jobs are done
    log.error(sentence)
    screen.print(f"[bold red]✗[/] {escape(sentence)}", soft_wrap=True)
    return True


def parameter_names() -> list[str]:
    """Every parameter of the default configuration, as `trainer.max_epochs`."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        tree = OmegaConf.to_container(compose("train"), resolve=False)
    names: list[str] = []

    def walk(node: object, prefix: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                names.append(f"{prefix}{key}")
                walk(value, f"{prefix}{key}.")

    walk(tree, "")
    return names


def main() -> int:
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):  # Hydra's own help would first list 232 species a hundred times, for seconds
        print(__doc__)
        return 0
    try:
        resumed = [argument.partition("=")[2] for argument in arguments if argument.startswith("resume=")]
        if resumed:
            resume(Path(resumed[-1]), [argument for argument in arguments if not argument.startswith("resume=")])
        else:
            sys.argv[1:] = prepare_arguments(arguments)
            train()
    except KeyboardInterrupt:
        screen.print("interrupted", style="bold red")
        return 130
    except Exception as error:
        if not tell(error):
            raise
        if failed_jobs:
            screen.print(
                f"[bold red]{len(failed_jobs)} jobs of the sweep failed:[/] {', '.join(failed_jobs)}", soft_wrap=True
            )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Prepare recordings once with the code of any version: `python prepare_recordings.py VERSION SPECIES ROOT CACHE`.

Prints JSON: seconds and processor seconds of the setup without imports, peak memory, and the pairs that were found.
"""

import json
import sys
import time
from pathlib import Path


def main(version: str, species: str, root: str, cache: str) -> None:
    sys.path[0] = version
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    import birdnet_nl.commands.train_main  # noqa: F401  registers the resolvers of the configuration
    from birdnet_nl.util.conf_values import conf_dir

    overrides = [f"species={species}", "parameter_set=turbo", "trainer=turbo", f"data.root={root}"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", [*overrides, f"paths.cache={cache}"])
    data = instantiate(cfg.data, _convert_="all")
    started, processor_started = time.perf_counter(), time.process_time()
    data.setup()
    seconds, processor_s = time.perf_counter() - started, time.process_time() - processor_started
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    result = {
        "seconds": seconds,
        "processor_s": processor_s,
        "peak_memory_mb": int(peak.split()[1]) / 1024,
        "fingerprint": data.prepared.fingerprint,
        "crops_of": len(data.crop_dataset.recording_ids),
        "pairs": [[pair.first, pair.second] for pair in data.prepared.near_duplicates],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A process that watches a fake station, which tests may kill: watch_process.py CLIPS FILE MODELS DATABASE [once]."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "prediction"))

from fake_model import load_fake
from fake_station import FileStation

from birdnet_nl.stations.instance_lock import InstanceLock
from birdnet_nl.stations.models_of_station import StationModels
from birdnet_nl.stations.watch import Watch, WatchOptions
from birdnet_nl.util.signals import ending_on_signals

if __name__ == "__main__":
    clips, file, models, database, *once = sys.argv[1:]
    station = FileStation(Path(clips), Path(file))
    options = WatchOptions(channels=("mqtt",), once=bool(once), health=Path(f"{database}.health.json"))
    with ending_on_signals(), InstanceLock(Path(database)) as lock:
        watch = Watch(station, StationModels(models, load_fake), Path(database), options, lock)
        try:
            sys.exit(watch.run())
        except KeyboardInterrupt:
            print(json.dumps("stopped"))

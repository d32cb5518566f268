"""Log lines of what became of detections: one for each, and in a backlog one a minute."""

import logging
import time
from collections import Counter
from collections.abc import Sequence

from birdnet_nl.species.table import find_species
from birdnet_nl.stations.detection import State
from birdnet_nl.stations.results import Outcome

log = logging.getLogger("birdnet_nl")
BACKLOG, SUMMARY_S = 8, 60.0  # more detections at once are logged as a number, once a minute


class OutcomeLog:
    """Log lines of results: one for each, and in a backlog one a minute."""

    def __init__(self) -> None:
        self._counts: Counter[State] = Counter()
        self._logged = time.monotonic()
        self._without_model: set[str] = set()

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Log outcomes that were stored together."""
        if len(outcomes) > BACKLOG or self._counts:
            self._counts.update(outcome.state for outcome in outcomes)
            if time.monotonic() - self._logged > SUMMARY_S or len(outcomes) <= BACKLOG:
                self.close()
            return
        for outcome in outcomes:
            self._log(outcome)

    def close(self) -> None:
        """Log what was counted."""
        if self._counts:
            text = ", ".join(f"{count} {state}" for state, count in self._counts.most_common())
            log.info("%d detections: %s", self._counts.total(), text)
            self._counts.clear()
        self._logged = time.monotonic()

    def _log(self, outcome: Outcome) -> None:
        detection, species = outcome.stored.detection, find_species(outcome.stored.species)
        name = detection.common_name or (species.english if species else detection.scientific_name)
        what = f"{detection.recorded_at:%Y-%m-%d %H:%M:%S} {name}"
        if outcome.result is not None:
            doubt = ", uncertain" if outcome.result.is_uncertain else ""
            log.info("%s: %s (%.0f %%%s)", what, outcome.result.type, 100 * outcome.result.probability, doubt)
        elif outcome.state is State.NO_MODEL:
            if name not in self._without_model:
                self._without_model.add(name)
                log.info("%s: no model, %s (logged once for each name)", what, outcome.reason)
        elif outcome.state is State.WAITING and outcome.stored.attempts:
            log.debug("%s: %s, %s", what, outcome.state, outcome.reason)
        else:
            log.log(logging.WARNING if outcome.state is State.FAILED else logging.INFO,
                    "%s: %s, %s", what, outcome.state, outcome.reason)  # fmt: skip

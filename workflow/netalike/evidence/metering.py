"""What a measure costs: seconds and memory, by measure, apart for what is done per network and per pair."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COLUMNS = ("measure", "family", "networks", "pairs", "seconds_networks", "seconds_pairs", "peak_mb")
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@dataclass
class _Cost:
    networks: int = 0
    pairs: int = 0
    seconds_networks: float = 0.0
    seconds_pairs: float = 0.0
    peak_mb: float = 0.0


@dataclass
class Meter:
    """Measure what a family of measures costs, measure by measure.

    Times are not rows of the measurement table, which is the same in every run: they go to a file of their own.

    Parameters
    ----------
    family : str
        Of the measures.

    Examples
    --------
    >>> meter = Meter("gradients")
    >>> with meter.networks("kernel_cka/unbiased", 4):
    ...     pass
    >>> with meter.pairs("kernel_cka/unbiased", 6):
    ...     pass
    >>> [entry["pairs"] for entry in meter.rows()]
    [6]
    """

    family: str
    _costs: dict[str, _Cost] = field(default_factory=dict)

    @classmethod
    def read(cls, family: str, paths: Iterable[str | Path]) -> Meter:
        """Go on from what earlier jobs wrote: their times are summed, their memory is the largest."""
        meter = cls(family)
        for path in paths:
            with Path(path).open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    cost = meter._costs.setdefault(row["measure"], _Cost())
                    cost.networks += int(row["networks"])
                    cost.pairs += int(row["pairs"])
                    cost.seconds_networks += float(row["seconds_networks"])
                    cost.seconds_pairs += float(row["seconds_pairs"])
                    cost.peak_mb = max(cost.peak_mb, float(row["peak_mb"]))
        return meter

    @contextmanager
    def networks(self, measure: str, n: int) -> Iterator[None]:
        """Measure what is done once per network.

        Parameters
        ----------
        measure : str
            ``quantity/estimator``; several that are computed together are joined by ``+``.
        n : int
            How many networks this part is of.
        """
        with self._metered(measure) as cost:
            start = time.perf_counter()
            yield
            cost.seconds_networks += time.perf_counter() - start
            cost.networks += n

    @contextmanager
    def pairs(self, measure: str, n: int) -> Iterator[None]:
        """Measure what is done for each pair of networks; see `networks`."""
        with self._metered(measure) as cost:
            start = time.perf_counter()
            yield
            cost.seconds_pairs += time.perf_counter() - start
            cost.pairs += n

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per measure, with the columns `COLUMNS`.

        Seconds are wall time; memory is in 10^6 bytes, beyond what the process held before, at its largest. Measures
        that are computed together share their time equally, and have the memory of the whole.
        """
        return [
            {
                "measure": measure,
                "family": self.family,
                **vars(cost),
                "seconds_networks": cost.seconds_networks / len(names),
                "seconds_pairs": cost.seconds_pairs / len(names),
            }
            for key, cost in self._costs.items()
            for names in [key.split("+")]
            for measure in names
        ]

    def write(self, path: str | Path) -> None:
        """Write the rows as CSV."""
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows())

    @contextmanager
    def _metered(self, measure: str) -> Iterator[_Cost]:
        cost = self._costs.setdefault(measure, _Cost())
        _reset_peak()
        before = _megabytes("VmRSS")
        yield cost
        cost.peak_mb = max(cost.peak_mb, _megabytes("VmHWM") - before)


def _reset_peak() -> None:
    """Let the peak begin anew, where the system can: else it is that of the whole process so far."""
    try:
        _RESET.write_text(_RESET_PEAK)
    except OSError:
        return


def _megabytes(entry: str) -> float:
    """Resident memory of this process, now or at its peak since the reset, in 10^6 bytes; 0 where nothing says it."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0.0
    kilobytes = next((line.split()[1] for line in lines if line.startswith(f"{entry}:")), "0")
    return int(kilobytes) * 1024 / 1e6

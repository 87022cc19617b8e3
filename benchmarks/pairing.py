"""Time our code and a peer's in turn, in one process, on the same input, and write the ratios down."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd

RESULTS = Path("results/benchmarks")


@dataclass(frozen=True)
class Row:
    """One line of results/benchmarks/<name>.csv; a ratio above 1 means that ours is better."""

    work: str
    peer: str
    version: str
    figure: str
    unit: str
    ours: float
    theirs: float
    ratio_min: float
    ratio_median: float
    ratio_max: float
    asked: float | None


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call, with nothing of the calls before left to clean up."""
    gc.collect()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def paired(
    work: str,
    peer: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    asked: float | None,
    repeats: int = 5,
    warm_up: bool = True,
) -> Row:
    """Run ours and theirs in turn, A B A B ..., and take the ratio pair by pair: the machine's drift cancels."""
    if warm_up:
        ours()
        theirs()
    times = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    ratios = [b / a for a, b in times]
    row = Row(
        work=work,
        peer=peer,
        version=version(peer),
        figure="wall time",
        unit="s",
        ours=statistics.median(a for a, _ in times),
        theirs=statistics.median(b for _, b in times),
        ratio_min=min(ratios),
        ratio_median=statistics.median(ratios),
        ratio_max=max(ratios),
        asked=asked,
    )
    print(
        f"{work}: ours {row.ours:.3f} s, {peer} {row.theirs:.3f} s, ratio {row.ratio_median:.3g} "
        f"({row.ratio_min:.3g} to {row.ratio_max:.3g}), asked {asked}",
        flush=True,
    )
    return row


def difference(work: str, peer: str, ours: float, asked: float) -> Row:
    """The largest difference of values; the ratio is that of the difference allowed to the difference found."""
    ratio = asked / ours if ours else float("inf")
    print(f"{work}: largest difference to {peer} {ours:.2e}, allowed {asked:.0e}", flush=True)
    return Row(work, peer, version(peer), "largest difference", "1", ours, asked, ratio, ratio, ratio, 1.0)


def write(name: str, rows: list[Row]) -> Path:
    """Write the rows to results/benchmarks/<name>.csv."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.csv"
    pd.DataFrame([asdict(row) for row in rows]).to_csv(path, index=False, float_format="%.6g")
    print(f"written: {path}")
    return path

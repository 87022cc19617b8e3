"""A panel from its networks to its tables in one process: what the workflow does in many jobs, for a few networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from netalike import comparison
from netalike.activations import record
from netalike.errors import NetalikeError, unknown_name
from netalike.evidence import measurements
from netalike.evidence import rows as evidence_rows
from netalike.evidence.metering import Meter
from netalike.experiments.panel_alignment import align_pairs
from netalike.experiments.panel_behaviour import behaviour_rows, record_outputs
from netalike.experiments.panel_gradients import gradient_kernels, kernel_rows
from netalike.experiments.panel_inversion import invert_members, inverted_rows
from netalike.experiments.panel_map import map_rows
from netalike.experiments.panel_measures import FAMILIES
from netalike.experiments.panel_pairs import pair_table
from netalike.experiments.panel_stitching import stitch_pairs
from netalike.experiments.panel_summary import summary_rows
from netalike.measures import of_quantity, recorded
from netalike.measures.panel import compare_networks

if TYPE_CHECKING:
    from netalike.data import ImageSet
    from netalike.networks import Card

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class PanelTables:
    """What a panel comes to.

    Attributes
    ----------
    measurements : DataFrame
        The rows of all families, and those of the summary.
    summary : DataFrame
        Of them, the rows of the summary.
    pairs : DataFrame
        One row per pair and measure, see `panel_pairs.pair_table`.
    timings : DataFrame
        What each measure cost, see `netalike.evidence.metering.COLUMNS`.
    """

    measurements: pd.DataFrame
    summary: pd.DataFrame
    pairs: pd.DataFrame
    timings: pd.DataFrame


def facts_of_card(card: Card, family: str) -> dict[str, Any]:
    """Return what the card of a network tells of it, as the questions of a panel need it.

    Parameters
    ----------
    card : Card
    family : str

    Returns
    -------
    dict
        ``family``, ``architecture``, ``task``, ``dataset``, ``training`` (a text), ``eps``, ``augment``.
    """
    told = dict(card.settings or {})
    return {
        "family": family,
        "architecture": card.architecture,
        "task": told.get("task", "classes"),
        "dataset": card.dataset,
        "training": json.dumps(told, sort_keys=True, default=str),
        "eps": float(told.get("eps", 0.0)),
        "augment": told.get("augment"),
    }


def run_panel(
    name: str,
    members: Sequence[comparison.Member],
    image_sets: tuple[ImageSet, ImageSet],
    panel: Mapping[str, Any],
    folder: str | Path,
    device: str | torch.device = "cpu",
    progress: bool | None = None,
) -> PanelTables:
    """Compare all pairs of networks by all families of measures.

    Parameters
    ----------
    name : str
        Of the panel.
    members : sequence of Member
        Trained networks, then untrained twins.
    image_sets : (ImageSet, ImageSet)
        To make stitches on, and to compare on.
    panel : mapping
        The keys of `netalike.configuration.panels.Panel`, with ``members`` and ``facts`` by network, and ``seed``.
    folder : path
        Gets the recorded activations, and inverted images until all are inverted: a run that is killed goes on there.
    device : str or torch.device
    progress : bool, optional

    Returns
    -------
    PanelTables

    Raises
    ------
    UnknownNameError
        If ``compare`` names a family of measures that there is not.

    Notes
    -----
    Forward passes grow with the networks, stitches and comparisons with their pairs. Memory: as of the dearest family,
    stitching (see `stitch_pairs`).
    """
    for family in panel["compare"]:
        if family not in FAMILIES:
            raise unknown_name("family of measures", family, FAMILIES)
    run = _Run(name, members, image_sets, panel, Path(folder), device, progress)
    found = [run.table(family) for family in panel["compare"]]
    rows = pd.concat([table for table in found if len(table)], ignore_index=True)
    pairs = pair_table(rows, panel, asked=comparison.pairs_of(panel))
    summary = run.rows("comparison", [*summary_rows(pairs, panel, rows), *map_rows(pairs, panel)])
    timings = pd.DataFrame([row for meter in run.meters for row in meter.rows()])
    return PanelTables(pd.concat([rows, summary], ignore_index=True), summary, pairs, timings)


class _Run:
    """The families of one panel, each a method that makes its rows."""

    def __init__(
        self,
        name: str,
        members: Sequence[comparison.Member],
        image_sets: tuple[ImageSet, ImageSet],
        panel: Mapping[str, Any],
        folder: Path,
        device: str | torch.device,
        progress: bool | None,
    ) -> None:
        self.name, self.members, self.panel, self.folder = name, list(members), panel, folder
        self.train, self.images = image_sets
        self.device, self.progress = device, progress
        self.pairs = comparison.pairs_of(panel)
        self.meters: list[Meter] = []

    def table(self, family: str) -> pd.DataFrame:
        """The rows of one family of measures."""
        makers: dict[str, Callable[[Meter], Iterator[tuple[str, list[Row]]]]] = {
            "representation": self._representation,
            "alignment": self._alignment,
            "behaviour": self._behaviour,
            "gradients": self._gradients,
            "stitching": self._stitching,
            "inversion": self._inversion,
        }
        self.meters.append(Meter(family))
        made = [self.rows(experiment, rows) for experiment, rows in makers[family](self.meters[-1])]
        return pd.concat(made, ignore_index=True)

    def rows(self, experiment: str, rows: list[Row]) -> pd.DataFrame:
        """A table of rows of one experiment of this panel."""
        paper = "deconfounded_cka" if experiment == "layers" else "comparison"
        constants = {"paper": paper, "experiment": f"{experiment}_{self.name}", "dataset": self.images.name}
        counted = {} if rows and "n_samples" in rows[0] else {"n_samples": len(self.images)}
        return measurements.table(rows, **constants, split=self.images.split, seed=self.panel["seed"], **counted)

    @property
    def _recorded(self) -> Path:
        return self.folder / "activations"

    def _record(self) -> None:
        n = min(self.panel["measure_images"], len(self.images))
        for member in self.members:
            if not (self._recorded / member.name).is_dir():
                record(member.model, self.images.take(slice(0, n)), member.layers, self._recorded / member.name)

    def _representation(self, meter: Meter) -> Iterator[tuple[str, list[Row]]]:
        estimators, families = self.panel["estimators"], self.panel["members"]
        sources, permuted = comparison.sources_of(self.members, self.images, self.panel, self.device)
        keys = evidence_rows.measure_keys(estimators)
        with meter.networks(keys, len(self.members)):
            batch, seed = self.panel["batch_size"], self.panel["seed"]
            found = compare_networks(
                sources, self.images, estimators, batch, permuted, seed, progress=bool(self.progress)
            )
        with meter.pairs(keys, len(self.pairs)):
            pass
        yield "layers", list(evidence_rows.panel_rows(found, families))
        self._record()
        recordings, orders = comparison.recordings_of(self._recorded, self.panel)
        compared: list[recorded.Comparison] = []
        for measure, chosen in comparison.measures_of(self.panel, self.pairs, of_quantity):
            with meter.pairs(measure.key, len(chosen)):
                shown = bool(self.progress)
                compared += recorded.compare_recorded(recordings, chosen, [measure], "matched", orders, shown)
        yield "measures", list(evidence_rows.comparison_rows(compared, families))

    def _alignment(self, meter: Meter) -> Iterator[tuple[str, list[Row]]]:
        self._record()
        recordings, orders = comparison.recordings_of(self._recorded, self.panel)
        how = self.panel["alignment"]
        yield (
            "alignment",
            align_pairs(recordings, orders, self.pairs, self.panel, how, progress=self.progress, meter=meter),
        )

    def _behaviour(self, meter: Meter) -> Iterator[tuple[str, list[Row]]]:
        outputs = record_outputs(self.members, self.images, self.device)
        labels = self.images.labels.numpy()
        yield "behaviour", behaviour_rows(outputs, labels, self.pairs, self.panel, meter=meter)

    def _gradients(self, meter: Meter) -> Iterator[tuple[str, list[Row]]]:
        how = self.panel["gradients"]
        images = self.images.take(slice(0, min(how["n_images"], len(self.images))))
        shown = bool(self.progress)
        kernels = gradient_kernels(self.members, images, how, self.device, progress=shown, meter=meter)
        yield "gradients", kernel_rows(kernels, self.pairs, self.panel, meter=meter)

    def _stitching(self, meter: Meter) -> Iterator[tuple[str, list[Row]]]:
        how = self.panel["stitching"]
        sets = self.train.take(slice(0, how["n_train"])), self.images.take(slice(0, how["n_test"]))
        given = (self.members, self.pairs, *sets, self.panel, how, self.device)
        yield "stitching", stitch_pairs(*given, progress=self.progress, meter=meter)

    def _inversion(self, meter: Meter) -> Iterator[tuple[str, list[Row]]]:
        how, checkpoints = self.panel["inversion"], self.folder / "checkpoints"
        if how["pairs"] > len(self.images):
            raise NetalikeError(
                f"inversion takes {how['pairs']} pairs of images, {len(self.images)} are compared on: give more images."
            )
        given = self.members, self.images, self.panel, how, self.device
        inverted = invert_members(*given, checkpoints, progress=self.progress, meter=meter)
        after = (self.members, inverted, self.images, self.pairs, self.panel, how, self.device)
        yield "inversion", inverted_rows(*after, progress=self.progress, meter=meter)

"""Similarity of networks on inverted images, with intervals: Jones et al. (2022), and STIR (Nanda et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from netalike.errors import NetalikeError, ShapeError, unknown_name
from netalike.inversion.comparing import MEASURES, PUBLISHED, UNBIASED, OneSet, Prepared, chosen_measures
from netalike.inversion.estimates import OK, Estimates, estimates
from netalike.inversion.resampling import image_weights
from netalike.measures.registry import as_features
from netalike.progress import progress as progress_bar

__all__ = [
    "MEASURES",
    "Similarity",
    "SimilarityMatrix",
    "inverted_similarity",
    "similarity_matrix",
    "stir",
    "stir_matrix",
]

Representations = Mapping[str, ArrayLike | Tensor]
_Found = tuple[dict[str, Estimates], dict[str, Estimates]]


@dataclass(frozen=True)
class Similarity:
    """How alike two representations of the same images are.

    Attributes
    ----------
    estimates : dict of str to Estimates, shape ()
        By measure (`MEASURES`). ``procrustes/published`` is a distance, the others are similarities.
    null : dict of str to Estimates, shape ()
        The same with the rows of the second shuffled: value is the mean over the permutations, and the samples are
        the permutations. What is not above it is no similarity.
    """

    estimates: dict[str, Estimates]
    null: dict[str, Estimates]


@dataclass(frozen=True)
class SimilarityMatrix:
    """How alike networks are: on the images inverted through the network of the row, and on the target images.

    Attributes
    ----------
    rows, columns : tuple of str
        Names of the networks.
    inverted, targets : dict of str to Estimates, shape (rows, columns)
        By measure (`MEASURES`). On the diagonal a network is compared with itself.
    inverted_null, targets_null : dict of str to Estimates, shape (rows, columns)
        With shuffled rows; the value is the mean over the permutations.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    inverted: dict[str, Estimates]
    targets: dict[str, Estimates]
    inverted_null: dict[str, Estimates]
    targets_null: dict[str, Estimates]

    @property
    def off_diagonal(self) -> NDArray[np.bool_]:
        """Which entries compare two different networks, shape (rows, columns)."""
        return np.array([[row != column for column in self.columns] for row in self.rows])

    def mean(self, measure: str = PUBLISHED, on: str = "inverted", chosen: ArrayLike | None = None) -> Estimates:
        """Average over pairs of networks.

        Parameters
        ----------
        measure : str
        on : {"inverted", "targets", "inverted_null", "targets_null"}
        chosen : array of bool, shape (rows, columns), optional
            Which pairs; all pairs of different networks by default.

        Returns
        -------
        Estimates, shape ()
        """
        return self._table(measure, on).mean(self.off_diagonal if chosen is None else chosen)

    def difference(self, measure: str = PUBLISHED, chosen: ArrayLike | None = None) -> Estimates:
        """Average inverted minus target similarity over pairs of networks, the images paired in every resample.

        Parameters
        ----------
        measure : str
        chosen : array of bool, shape (rows, columns), optional
            Which pairs; all pairs of different networks by default.

        Returns
        -------
        Estimates, shape ()
        """
        paired = self._table(measure, "inverted").minus(self._table(measure, "targets"))
        return paired.mean(self.off_diagonal if chosen is None else chosen)

    def asymmetry(self, measure: str = PUBLISHED) -> Estimates:
        """Subtract the transposed matrix: entry (a, b) is similarity on a's inverted images minus that on b's.

        Returns
        -------
        Estimates, shape (rows, rows)

        Raises
        ------
        ShapeError
            If the rows are not the columns.
        """
        if self.rows != self.columns:
            raise ShapeError(f"asymmetry needs the same rows and columns, got {self.rows} and {self.columns}.")
        table = self._table(measure, "inverted")
        return table.minus(table.transpose())

    def _table(self, measure: str, on: str) -> Estimates:
        tables = {
            "inverted": self.inverted,
            "targets": self.targets,
            "inverted_null": self.inverted_null,
            "targets_null": self.targets_null,
        }
        if on not in tables:
            raise unknown_name("set of images", on, tables)
        if measure not in tables[on]:
            raise unknown_name("measure of this matrix", measure, tables[on])
        return tables[on][measure]


def inverted_similarity(
    row: ArrayLike | Tensor,
    column: ArrayLike | Tensor,
    *,
    inputs: ArrayLike | Tensor | None = None,
    measures: Sequence[str] | None = None,
    n_boot: int = 1000,
    n_null: int = 20,
    seed: int = 0,
    confidence: float = 0.95,
) -> Similarity:
    """Compare two networks on the images inverted through the first (or on any other images).

    Parameters
    ----------
    row, column : array, shape (n, ...)
        Representations of the same n images.
    inputs : array, shape (n, ...), optional
        The images, for deconfounded CKA.
    measures : sequence of str, optional
        Of `MEASURES`; by default all, without deconfounded CKA where there are no inputs.
    n_boot : int
        Number of resamples of the images.
    n_null : int
        Number of permutations of the rows.
    seed : int
        Of both. One seed and one n give one set of resamples, so that two results can be subtracted.
    confidence : float

    Returns
    -------
    Similarity

    Raises
    ------
    ShapeError
        If the numbers of rows differ, an entry is not finite, or inputs are missing.
    UnknownNameError
        If there is no such measure.
    NetalikeError
        If there are fewer than 4 images.

    Notes
    -----
    Jones et al. (2022): linear CKA of all images at once, ``||A'B||^2 / (||A'A|| ||B'B||)`` of centred columns. It is
    biased where n is not far above the widths: independent representations give about
    ``sqrt(p q / ((n + p)(n + q)))``. The null shows that, and ``cka/unbiased`` is free of it. From n x n Gram matrices:
    O(n^2 (p + q)) once, O(n_boot n^2) for the resamples (`resampling.products`), O(n_null n^2) for the permutations;
    the Procrustes distance adds a singular value decomposition, and one per permutation.
    """
    names = chosen_measures(measures, inputs is not None)
    n = len(as_features(row))
    one_set = OneSet(image_weights(n, n_boot, seed), _permutations(n, n_null, seed), names, inputs)
    a, b = one_set.prepare(row), one_set.prepare(column)
    found, null = _pair(one_set, a, b, confidence)
    return Similarity(found, null)


def stir(
    originals: ArrayLike | Tensor,
    inverted: ArrayLike | Tensor,
    *,
    n_boot: int = 1000,
    n_null: int = 20,
    seed: int = 0,
    confidence: float = 0.95,
) -> Similarity:
    """STIR(m2 | m1): how much of the invariances of network m1 network m2 shares (Nanda et al. 2022).

    Parameters
    ----------
    originals : array, shape (n, ...)
        Representations by m2 of n images.
    inverted : array, shape (n, ...)
        Representations by m2 of the same images inverted through m1, by the authors from noise seeds.
    n_boot, n_null, seed, confidence
        As `inverted_similarity` takes them.

    Returns
    -------
    Similarity
        ``cka/published`` and ``cka/unbiased``.

    Notes
    -----
    ``CKA(m2(X), m2(X'))``: one network, two sets of images. The similarity of Jones et al. is ``CKA(m1(X'), m2(X'))``:
    two networks, one set of images. Both are the same only if the inversion is exact and X and X' are exchanged in
    the first place.
    """
    return inverted_similarity(
        originals,
        inverted,
        measures=(PUBLISHED, UNBIASED),
        n_boot=n_boot,
        n_null=n_null,
        seed=seed,
        confidence=confidence,
    )


def similarity_matrix(
    represent_on: Mapping[str, Representations],
    targets: Representations,
    *,
    inputs_on: Representations | None = None,
    target_inputs: ArrayLike | Tensor | None = None,
    measures: Sequence[str] | None = None,
    n_boot: int = 1000,
    n_null: int = 20,
    seed: int = 0,
    confidence: float = 0.95,
    progress: bool | None = False,
) -> SimilarityMatrix:
    """Compare networks on each one's inverted images, and on the target images.

    Parameters
    ----------
    represent_on : mapping of str to mapping of str to array, shape (n, ...)
        ``represent_on[row][column]``: representations by network `column` of the images inverted through network
        `row`. Every row has the same columns, itself among them. It may be lazy: each entry is asked for once.
    targets : mapping of str to array, shape (n, ...)
        Representations of the n target images, by network; at least the columns.
    inputs_on : mapping of str to array, shape (n, ...), optional
        The images inverted through each row, for deconfounded CKA; with `target_inputs`, or neither.
    target_inputs : array, shape (n, ...), optional
        The target images.
    measures, n_boot, n_null, seed, confidence
        As `inverted_similarity` takes them. All entries, inverted and target alike, have the same resamples.
    progress : bool, optional

    Returns
    -------
    SimilarityMatrix

    Raises
    ------
    ShapeError, NetalikeError, UnknownNameError
        As `inverted_similarity`, and if a network is missing.
    """
    rows = tuple(represent_on)
    columns = _columns(represent_on, targets)
    if (inputs_on is None) != (target_inputs is None):
        raise ShapeError("deconfounded CKA needs inputs_on and target_inputs, or neither; got one of them.")
    names = chosen_measures(measures, inputs_on is not None)
    n = len(as_features(targets[columns[0]]))
    weights, permutations = image_weights(n, n_boot, seed), _permutations(n, n_null, seed)
    entries: list[list[_Found]] = []
    for row in progress_bar(rows, "similarity by row", shown=progress, unit="row"):
        one_set = OneSet(weights, permutations, names, None if inputs_on is None else inputs_on[row])
        own = one_set.prepare(represent_on[row][row])
        others = (own if column == row else one_set.prepare(represent_on[row][column]) for column in columns)
        entries.append([_pair(one_set, own, other, confidence) for other in others])
    on_targets = _on_targets(OneSet(weights, permutations, names, target_inputs), targets, rows, columns, confidence)
    tables = [
        {name: _stack([[entry[part][name] for entry in line] for line in lines]) for name in names}
        for lines in (entries, on_targets)
        for part in (0, 1)
    ]
    return SimilarityMatrix(rows, columns, tables[0], tables[2], tables[1], tables[3])


def stir_matrix(
    represent_on: Mapping[str, Representations],
    targets: Representations,
    *,
    n_boot: int = 1000,
    n_null: int = 20,
    seed: int = 0,
    confidence: float = 0.95,
    progress: bool | None = False,
) -> dict[str, Estimates]:
    """STIR(column | row) of all pairs of networks.

    Parameters
    ----------
    represent_on, targets, n_boot, n_null, seed, confidence, progress
        As `similarity_matrix` takes them.

    Returns
    -------
    dict of str to Estimates, shape (rows, columns)
        ``cka/published`` and ``cka/unbiased``: representations of the targets against those of the images inverted
        through the row, both by the column. The diagonal says how well a network's own inversion worked.
    """
    columns = _columns(represent_on, targets)
    cells: list[list[Similarity]] = []
    for row in progress_bar(list(represent_on), "STIR by row", shown=progress, unit="row"):
        options = {"n_boot": n_boot, "n_null": n_null, "seed": seed}
        found = represent_on[row]
        cells.append([stir(targets[name], found[name], confidence=confidence, **options) for name in columns])
    return {name: _stack([[cell.estimates[name] for cell in line] for line in cells]) for name in (PUBLISHED, UNBIASED)}


# Prepared representations of all networks are kept together up to so many bytes, and made again beyond.
_KEPT = 2e9


def _on_targets(
    one_set: OneSet, targets: Representations, rows: Sequence[str], columns: Sequence[str], confidence: float
) -> list[list[_Found]]:
    n = one_set.weights.shape[1]
    kept: dict[str, Prepared] = {}
    if len(columns) * n * (n + len(one_set.weights)) * 8 <= _KEPT:
        kept = {name: one_set.prepare(targets[name]) for name in columns}
    known: dict[tuple[str, str], _Found] = {}
    for row in rows:
        own = kept.get(row) or one_set.prepare(targets[row])
        for column in columns:
            if (column, row) in known:  # of one set of images the similarity is symmetric
                known[row, column] = known[column, row]
                continue
            other = own if column == row else kept.get(column) or one_set.prepare(targets[column])
            known[row, column] = _pair(one_set, own, other, confidence)
    return [[known[row, column] for column in columns] for row in rows]


def _pair(one_set: OneSet, a: Prepared, b: Prepared, confidence: float) -> _Found:
    drawn = one_set.compare(a, b)
    status = {
        name: np.array(f"undefined: {one_set.reason(a, b, name)}" if np.isnan(values[0]) else OK)
        for name, values in drawn.items()
    }
    found = {name: estimates(values, confidence, status[name]) for name, values in drawn.items()}
    null = {name: _null(values, confidence, status[name]) for name, values in one_set.shuffled(a, b).items()}
    return found, null


def _null(values: NDArray[np.float64], confidence: float, status: NDArray[np.str_]) -> Estimates:
    mean = np.full(1, values.mean() if len(values) else np.nan)
    return estimates(np.concatenate([mean, values]), confidence, status)


def _permutations(n: int, n_null: int, seed: int) -> Tensor:
    if n_null < 0:
        raise NetalikeError(f"the number of permutations must be at least 0, got {n_null}.")
    # Its own stream: the resamples of one seed do not change with the number of permutations.
    generator = torch.Generator().manual_seed(seed + 1_000_003)
    orders = [torch.randperm(n, generator=generator) for _ in range(n_null)]
    return torch.stack(orders) if orders else torch.empty(0, n, dtype=torch.int64)


def _columns(represent_on: Mapping[str, Representations], targets: Representations) -> tuple[str, ...]:
    if not represent_on:
        raise NetalikeError("a similarity matrix needs at least one row: images inverted through one network.")
    columns = tuple(next(iter(represent_on.values())))
    for row, found in represent_on.items():
        if tuple(found) != columns:
            raise ShapeError(f"every row has the same networks as columns, got {list(columns)} and {list(found)}.")
        if row not in columns:
            raise unknown_name("network among the columns", row, columns, "A row is one of the columns.")
    for column in columns:
        if column not in targets:
            raise unknown_name("network with representations of the targets", column, targets)
    return columns


def _stack(lines: Sequence[Sequence[Estimates]]) -> Estimates:
    """Put single estimates into a matrix."""

    def matrix(part: str) -> NDArray[np.float64]:
        return np.array([[getattr(cell, part) for cell in line] for line in lines])

    status = np.array([[str(cell.status) for cell in line] for line in lines])
    samples = np.moveaxis(matrix("samples"), -1, 0)
    return Estimates(matrix("value"), matrix("low"), matrix("high"), status, samples, lines[0][0].confidence)

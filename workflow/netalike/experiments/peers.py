"""Independent implementations of our measures, as published on PyPI: what each is asked for, and what of ours it meets.

A peer is imported only where it is called, and may be missing.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netalike import measures
from netalike.alignment import SharedResponse
from netalike.experiments import panel_alignment
from netalike.inversion import descent
from netalike.measures.cka import cka, deconfounded_cka

Floats = NDArray[np.float64]

BATCHES = 2
"""Parts of the samples, where a measure is an average over batches."""
_ITERATIONS = 10
_STEP, _EPS = 0.125, 0.5  # of the published inversion, and a ball so small that the projection has something to do


@dataclass(frozen=True)
class Sample:
    """Two layers on the same inputs, as every implementation gets them.

    Attributes
    ----------
    x, y : array, shapes (n, p) and (n, q)
    inputs : array, shape (n, d)
        What the deconfounded measures adjust for.
    seed : int
    """

    x: Floats
    y: Floats
    inputs: Floats
    seed: int = 0

    @cached_property
    def centred(self) -> tuple[Floats, Floats]:
        """Both layers without the means of their units."""
        return self.x - self.x.mean(0), self.y - self.y.mean(0)

    def batches(self, count: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the inputs and both layers in `count` parts, in single precision."""
        parts = (np.array_split(one.astype(np.float32), count) for one in (self.inputs, self.x, self.y))
        for inputs, x, y in zip(*parts, strict=True):
            yield torch.from_numpy(inputs), torch.from_numpy(x), torch.from_numpy(y)


Numbers = Callable[[Sample], float | Floats]


@dataclass(frozen=True)
class Check:
    """One measure by two implementations.

    Attributes
    ----------
    key : str
        The measure, ``quantity/estimator``.
    peer : str
        Name on PyPI.
    theirs : callable
        Returns a number, or an array of them, for a `Sample`.
    ours : callable, optional
        Returns the same of ours; the registered measure by default.
    reason : str
        Why the two differ by definition; empty where they are meant to agree.
    how : str
        What of the peer's was called, or done to its number or ours, where that is more than calling the measure.
    """

    key: str
    peer: str
    theirs: Numbers
    ours: Numbers | None = None
    reason: str = ""
    how: str = ""

    def difference(self, sample: Sample) -> float:
        """Return the largest difference between the two on a sample.

        Parameters
        ----------
        sample : Sample

        Returns
        -------
        float
            NaN where the peer gives no number.

        Raises
        ------
        UndefinedMeasureError
            If our own measure has no value; the peer is then not called.
        Exception
            What the peer raises, if it cannot be imported or fails.
        """
        ours = (self.ours or _registered(self.key))(sample)
        return float(np.max(np.abs(np.asarray(ours) - np.asarray(self.theirs(sample)))))


# ---- ours ------------------------------------------------------------------------------------------------------------


def _registered(key: str) -> Callable[[Sample], float]:
    return lambda sample: measures.measure(key)(sample.x, sample.y)


def _deconfounded(sample: Sample, psd: bool) -> float:
    return deconfounded_cka(sample.x, sample.y, sample.inputs, psd)


def _published(sample: Sample) -> float:
    return cka(sample.x, sample.y, "published", math.ceil(len(sample.x) / BATCHES))


def _clipped(sample: Sample) -> float:
    return min(max(_registered("cka/unbiased")(sample), 0.0), 1.0)


def _both_directions(sample: Sample) -> float:
    turned = Sample(sample.y, sample.x, sample.inputs)
    return (_registered("pwcca/first")(sample) + _registered("pwcca/first")(turned)) / 2


# ---- simtorch --------------------------------------------------------------------------------------------------------


class _Replay(nn.Module):
    """A network that has run already: its one layer gives what it gave then, batch after batch."""

    def __init__(self, recorded: Sequence[Tensor]) -> None:
        super().__init__()
        self.layer = nn.Identity()
        self._recorded = iter(recorded)

    def forward(self, _inputs: Tensor) -> Tensor:
        output: Tensor = self.layer(next(self._recorded))
        return output


def _simtorch(sample: Sample, metric: str, count: int = 1, **options: Any) -> float:
    from simtorch.model.sim_model import SimilarityModel
    from simtorch.similarity.cka import CKA
    from simtorch.similarity.delta_cka import DeltaCKA
    from simtorch.similarity.procrustes import Procrustes

    kind = {"cka": CKA, "deconfounded": DeltaCKA, "procrustes": Procrustes}[metric]
    parts = list(sample.batches(count))
    models = [SimilarityModel(_Replay([part[place] for part in parts]), "", ["layer"]) for place in (1, 2)]
    with _quiet():
        matrix = kind(*models, **options).compute([(inputs,) for inputs, _, _ in parts])
    return float(matrix[0, 0])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Progress bars and warnings of others are not for our log."""
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# ---- the others ------------------------------------------------------------------------------------------------------


def _pytorch_cka(sample: Sample) -> float:
    from cka import cka_from_features

    return float(cka_from_features(*(torch.from_numpy(one) for one in sample.centred)))


def _repsim(sample: Sample, function: str, *options: str) -> float:
    # it counts dimensions before it centres, where a unit that never changes is one
    return float(getattr(import_module("repsim"), function)(list(sample.centred), *options)[0, 1])


def _repsim_ratio(sample: Sample) -> float:
    hsic = import_module("repsim").hsic(list(sample.centred), "linear", "song")
    return float(hsic[0, 1] / np.sqrt(hsic[0, 0] * hsic[1, 1]))


def _scipy_procrustes(sample: Sample) -> float:
    from scipy.linalg import orthogonal_procrustes

    x, y = (one / np.linalg.norm(one) for one in sample.centred)
    width = max(x.shape[1], y.shape[1])
    wide = [np.pad(one, ((0, 0), (0, width - one.shape[1]))) for one in (x, y)]
    return float(1 - orthogonal_procrustes(*wide)[1])


def _scipy_rsa(sample: Sample, correlation: str) -> float:
    from scipy import stats
    from scipy.spatial.distance import pdist

    return float(getattr(stats, correlation)(*(pdist(one, "sqeuclidean") for one in sample.centred))[0])


def _rsatoolbox(sample: Sample, comparison: str) -> float:
    data, rdm = (import_module(f"rsatoolbox.{part}") for part in ("data", "rdm"))
    matrices = [rdm.calc_rdm(data.Dataset(one), method="euclidean") for one in sample.centred]
    return float(np.ravel(rdm.compare(*matrices, method=comparison))[0])


def _scikit_learn_r2(sample: Sample) -> float:
    from sklearn.linear_model import LinearRegression
    from sklearn.metrics import r2_score

    fitted = LinearRegression().fit(sample.y, sample.x).predict(sample.y)
    return float(r2_score(sample.x, fitted, multioutput="variance_weighted"))


def _shared_variance(sample: Sample, center: str, implementation: str) -> float:
    parts = [panel_alignment.prepare(one, sample.seed, one.shape[1]) for one in (sample.x, sample.y)]
    size = min(len(parts[0].fit), *(part.fit.shape[1] for part in parts))
    model = SharedResponse(size, center=center, iterations=_ITERATIONS, seed=sample.seed, implementation=implementation)
    return float(model.fit([part.fit for part in parts]).score([part.held_out for part in parts]).mean())


def _as_images(sample: Sample) -> tuple[Tensor, Tensor, Tensor]:
    """Seed images, images and gradients: numbers of the layers, in the shapes and ranges of these."""
    width = min(sample.x.shape[1], sample.y.shape[1])
    x, y = (one[:, :width] - one.min() for one in (sample.x, sample.y))
    seeds, images = (torch.from_numpy(one / max(one.max(), 1e-12))[:, None, None] for one in (x, y))
    return seeds, images, torch.from_numpy(sample.centred[0][:, :width])[:, None, None]


def _our_step(sample: Sample) -> Floats:
    seeds, images, gradients = _as_images(sample)
    moved = images + _STEP * descent.unit_gradients(gradients)
    found: Floats = descent.project(moved, seeds, _EPS).numpy()
    return found


def _robustness_step(sample: Sample) -> Floats:
    from robustness.attack_steps import L2Step

    seeds, images, gradients = _as_images(sample)
    step = L2Step(seeds, eps=_EPS, step_size=_STEP)
    found: Floats = step.project(step.step(images, gradients)).numpy()
    return found


# ---- all -------------------------------------------------------------------------------------------------------------

_LAYERS = "simtorch divides the sum over batches by the number of layers"
_CLAMPED = "pytorch_cka sets what is below 0 to 0"
_BIASED = "repsim divides by the biased similarity of each with itself"
_WHITENED = "repsim makes all directions vary equally before it drops those of small variance"
_SYMMETRIC = "repsim takes the mean of both directions"
_CENTRED = "BrainIAK centres in the fit alone and adds 0.001 to a diagonal"


def _agreeing() -> Iterator[Check]:
    """Comparisons of implementations that are meant to give the same number."""
    yield Check("cka/unbiased", "pytorch_cka", _pytorch_cka, _clipped, how="both at least 0")
    yield Check("cka/unbiased", "repsim", _repsim_ratio, how="ratio of its HSIC")
    yield Check("cka/biased", "simtorch", partial(_simtorch, metric="cka"))
    yield Check("cka/biased", "repsim", lambda sample: _repsim(sample, "cka", "linear", "gretton"))
    how = "its sum divided by the number of batches"
    yield Check("cka/published", "simtorch", lambda s: _simtorch(s, "cka", BATCHES) / BATCHES, _published, how=how)
    for psd, key in ((False, "published"), (True, "published_psd")):
        theirs = partial(_simtorch, metric="deconfounded", remove_negative_eig=psd)
        yield Check(f"deconfounded_cka/{key}", "simtorch", theirs, partial(_deconfounded, psd=psd))
    yield Check("procrustes/published", "simtorch", partial(_simtorch, metric="procrustes"))
    yield Check("procrustes/published", "scipy", _scipy_procrustes, how="1 less the scale of orthogonal_procrustes")
    yield Check("cca/mean_squared", "repsim", lambda sample: _repsim(sample, "cca", "yanai"), how="its yanai")
    yield Check("pwcca/first", "repsim", lambda s: _repsim(s, "pwcca"), _both_directions, how="mean of both directions")
    yield Check("linear_regression/r2", "scikit-learn", _scikit_learn_r2, how="r2_score weighted by variance")
    for ours, rsatoolbox, scipy in (("spearman", "spearman", "spearmanr"), ("pearson", "corr", "pearsonr")):
        yield Check(f"rsa/{ours}", "rsatoolbox", partial(_rsatoolbox, comparison=rsatoolbox))
        yield Check(f"rsa/{ours}", "scipy", partial(_scipy_rsa, correlation=scipy), how=f"pdist and {scipy}")
    theirs, mine = (partial(_shared_variance, center="brainiak", implementation=by) for by in ("brainiak", "netalike"))
    yield Check("shared_variance/srm", "brainiak", theirs, mine, how="ours with center brainiak")
    how = "one step of the inversion and its projection"
    yield Check("inverted_cka/biased", "robustness", _robustness_step, _our_step, how=how)


def _differing() -> Iterator[Check]:
    """Comparisons of what is called the same and is not."""
    yield Check("cka/unbiased", "pytorch_cka", _pytorch_cka, reason=_CLAMPED)
    yield Check("cka/unbiased", "repsim", lambda sample: _repsim(sample, "cka", "linear", "song"), reason=_BIASED)
    batched = partial(_simtorch, metric="cka", count=BATCHES)
    yield Check("cka/published", "simtorch", batched, _published, reason=_LAYERS)
    yield Check("svcca/mean", "repsim", lambda sample: _repsim(sample, "svcca", "pillai"), reason=_WHITENED)
    yield Check("pwcca/first", "repsim", lambda sample: _repsim(sample, "pwcca"), reason=_SYMMETRIC)
    theirs = partial(_shared_variance, center="brainiak", implementation="brainiak")
    ours = partial(_shared_variance, center="mean", implementation="netalike")
    yield Check("shared_variance/srm", "brainiak", theirs, ours, reason=_CENTRED)


CHECKS: tuple[Check, ...] = (*_agreeing(), *_differing())
"""All comparisons, in the order of the table: those that are meant to agree, then those that differ by definition."""

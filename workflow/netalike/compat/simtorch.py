"""The interface of simtorch (ykumards/simtorch 0.2): wrap two models, name a metric, compute, plot.

Change ``from simtorch.model import SimilarityModel`` and ``from simtorch.similarity import CKA, DeltaCKA`` to
``from netalike.compat.simtorch import SimilarityModel, CKA, DeltaCKA``; nothing else changes but the speed, the memory,
and the division that simtorch 0.2.1 gets wrong (``bug_compat=True`` brings it back).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netalike.errors import NetalikeError, unknown_name
from netalike.measures.gram import centred_gram, flatten
from netalike.measures.layer_grams import LayerGrams
from netalike.measures.procrustes import PROCRUSTES, gram_factor
from netalike.measures.streaming import PairwiseCKA
from netalike.progress import progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MATCHING = ("substring", "exact", "regex")
_Matrix = NDArray[np.float64]


class SimilarityModel:
    """A model and the layers of it that are compared.

    Parameters
    ----------
    model : nn.Module
        Moved to `device` and put into eval mode, as simtorch does.
    model_name : str, optional
        For titles and axes; the class name by default.
    layers_to_include : list of str, optional
        A layer is included if any of these is part of its dotted name (simtorch's rule: ``"conv"`` also matches
        ``layer1.0.conv1``, and containers match too).
    device : str or torch.device
    matching : {"substring", "exact", "regex"}
        Not in simtorch: ``exact`` names, or regular expressions searched for in the name.

    Raises
    ------
    UnknownNameError
        If a filter matches no layer; simtorch says nothing and compares nothing.
    """

    def __init__(
        self,
        model: nn.Module,
        model_name: str | None = None,
        layers_to_include: Sequence[str] | None = None,
        device: str | torch.device = "cpu",
        matching: str = "substring",
    ) -> None:
        if matching not in MATCHING:
            raise unknown_name("way of matching layers", matching, MATCHING)
        self.layers_to_include = list(layers_to_include or [])
        if not self.layers_to_include:
            warnings.warn("No layers have been added for similarity metric computation.", stacklevel=2)
        self.device = device
        self.model = model.to(device).eval()
        self.model_name = model_name if model_name is not None else type(model).__name__
        self.layers = self._matching_layers(matching)
        self.layer_names: list[str] = []
        """Names of the compared layers in the order of execution; known after the first forward pass."""

    def _matching_layers(self, matching: str) -> list[str]:
        names = [name for name, _ in self.model.named_modules()]
        tests: dict[str, Callable[[str, str], bool]] = {
            "substring": lambda pattern, name: pattern in name,
            "exact": lambda pattern, name: pattern == name,
            "regex": lambda pattern, name: re.search(pattern, name) is not None,
        }
        test = tests[matching]
        for pattern in self.layers_to_include:
            if not any(test(pattern, name) for name in names):
                raise unknown_name(f"layer of {self.model_name}", pattern, [n for n in names if n])
        return [name for name in names if any(test(pattern, name) for pattern in self.layers_to_include)]

    @property
    def n_layers(self) -> int:
        """Number of layers that the last forward pass went through."""
        if not self.layer_names:
            warnings.warn("No forward pass has been run yet: the number of layers is not known.", stacklevel=2)
        return len(self.layer_names)


class BaseSimilarity:
    """What the metrics share.

    Parameters
    ----------
    sim_model1, sim_model2 : SimilarityModel
        Rows and columns of the matrix.
    device : str or torch.device
    bug_compat : bool
        Divide the sum over batches by the number of layers of the first model instead of the number of batches, as
        simtorch 0.2.1 (its published figures carry that division).
    """

    similarity_name: ClassVar[str] = "base"
    higher_is_alike: ClassVar[bool] = True

    def __init__(
        self,
        sim_model1: SimilarityModel,
        sim_model2: SimilarityModel,
        device: str | torch.device = "cpu",
        bug_compat: bool = False,
    ) -> None:
        self.sim_model1, self.sim_model2 = sim_model1, sim_model2
        self.device, self.bug_compat = device, bug_compat
        for wrapped in (sim_model1, sim_model2):
            wrapped.model.to(device)
        self.sim_matrix: _Matrix | None = None

    def compute(self, dataloader: Collection[Any]) -> _Matrix:
        """Compare all layers of the first model with all layers of the second.

        Parameters
        ----------
        dataloader : collection of batches
            Each a tuple whose first item is the input, shape (n, ...), or the input itself.

        Returns
        -------
        array, shape (layers of model 1, layers of model 2)
            Layers in the order of their first execution.

        Raises
        ------
        NetalikeError
            If there is no batch, or no layer was chosen.
        """
        raise NotImplementedError

    def _stacks(self, dataloader: Collection[Any], precise: bool = False) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the inputs of each batch, and the centred Gram matrices of both models' layers."""
        wrapped = self.sim_model1, self.sim_model2
        for one in wrapped:
            if not one.layers:
                raise NetalikeError(f"no layer of {one.model_name} was chosen: give layers_to_include.")
        # a module that runs twice in a forward pass: the last call wins, as in simtorch
        readers = [LayerGrams(one.model, one.layers, repeats="last", precise=precise) for one in wrapped]
        for batch in progress(dataloader, self.similarity_name, total=len(dataloader)):
            inputs = (batch[0] if isinstance(batch, tuple | list) else batch).to(self.device)
            first, second = (read(inputs) for read in readers)
            for one, read in zip(wrapped, readers, strict=True):
                one.layer_names = read.order
            yield inputs, first, second

    def _finish(self, total: _Matrix | None, batches: int) -> _Matrix:
        if total is None:
            raise NetalikeError("the data loader gave no batch: there is nothing to compare.")
        self.sim_matrix = total / (len(total) if self.bug_compat else batches)
        return self.sim_matrix

    def plot_similarity(
        self,
        title: str | None = None,
        xlabel: str | None = None,
        ylabel: str | None = None,
        savefig: bool = False,
        save_path: str | Path = "../output",
        plot_cmap: str = "magma",
    ) -> Axes:
        """Draw the matrix: rows are the first model, from the top; columns the second.

        Parameters
        ----------
        title, xlabel, ylabel : str, optional
            By default the metric and the names of the models.
        savefig : bool
            Save as PNG under the title, blanks replaced by underscores, in `save_path`.
        save_path : path
            Made if it does not exist.
        plot_cmap : str
            A colour map of matplotlib.

        Returns
        -------
        Axes
            Of a figure of its own; no global style is changed.

        Raises
        ------
        NetalikeError
            Before `compute`.
        """
        import seaborn as sns
        from matplotlib.figure import Figure

        if self.sim_matrix is None:
            raise NetalikeError(f"nothing to plot: call compute(dataloader) of this {type(self).__name__} first.")
        names = self.sim_model1.model_name, self.sim_model2.model_name
        heading = f"{self.similarity_name}: {names[0]} vs {names[1]}" if title is None else title
        figure = Figure(layout="constrained", dpi=200)
        axes: Axes = sns.heatmap(self.sim_matrix, cmap=plot_cmap, cbar=True, ax=figure.add_subplot())
        axes.set(xlabel=xlabel or names[1], ylabel=ylabel or names[0], title=heading)
        if savefig:
            Path(save_path).mkdir(parents=True, exist_ok=True)
            figure.savefig(Path(save_path) / ("_".join(heading.split()) + ".png"), dpi=200)
        return axes


class CKA(BaseSimilarity):
    """Linear CKA, averaged over batches.

    Parameters
    ----------
    sim_model1, sim_model2, device, bug_compat
        See `BaseSimilarity`.
    unbiased : bool
        simtorch stores this and ignores it; here it sums HSIC_1 over batches before the ratio.
    """

    similarity_name = "CKA"

    def __init__(
        self,
        sim_model1: SimilarityModel,
        sim_model2: SimilarityModel,
        device: str | torch.device = "cpu",
        unbiased: bool = False,
        bug_compat: bool = False,
    ) -> None:
        super().__init__(sim_model1, sim_model2, device, bug_compat)
        self.unbiased = unbiased

    def compute(self, dataloader: Collection[Any]) -> _Matrix:
        """See `BaseSimilarity.compute`."""
        return self._pairwise(dataloader, "unbiased" if self.unbiased else "published")

    def _pairwise(self, dataloader: Collection[Any], estimator: str) -> _Matrix:
        pairwise, batches, rows = PairwiseCKA([estimator]), 0, 0
        is_adjusted = estimator.startswith("deconfounded")
        for inputs, one, two in self._stacks(dataloader, precise=is_adjusted):
            confounder = centred_gram(flatten(inputs)) if is_adjusted else None
            pairwise.update(torch.cat([one, two]), confounder)
            batches, rows = batches + 1, len(one)
        if not batches:
            return self._finish(None, 0)
        result = pairwise.result()
        self.pve = None if result.explained is None else result.explained.cpu().numpy()
        matrix: _Matrix = result.values[estimator][:rows, rows:].cpu().numpy()
        return self._finish(matrix * batches, batches) if estimator != "unbiased" else self._finish(matrix, 1)


class DeltaCKA(CKA):
    """Deconfounded CKA ("dCKA"), averaged over batches.

    Parameters
    ----------
    sim_model1, sim_model2, device, bug_compat
        See `BaseSimilarity`.
    remove_negative_eig : bool
        Project the adjusted Gram matrices on the positive semi-definite cone.

    Attributes
    ----------
    pve : array, shape (layers of both models,)
        Share of the variance of each layer's Gram matrix that the inputs explain, after `compute`; simtorch computes
        it and throws it away.
    """

    similarity_name = "dCKA"

    def __init__(
        self,
        sim_model1: SimilarityModel,
        sim_model2: SimilarityModel,
        device: str | torch.device = "cpu",
        remove_negative_eig: bool = False,
        bug_compat: bool = False,
    ) -> None:
        super().__init__(sim_model1, sim_model2, device, bug_compat=bug_compat)
        self.remove_negative_eig = remove_negative_eig

    def compute(self, dataloader: Collection[Any]) -> _Matrix:
        """See `BaseSimilarity.compute`."""
        return self._pairwise(dataloader, "deconfounded_psd" if self.remove_negative_eig else "deconfounded")


DeconfoundedCKA = DeltaCKA


class Procrustes(BaseSimilarity):
    """Procrustes distance, averaged over batches: 0 is the same, 1 is nothing in common."""

    similarity_name = "Procrustes"
    higher_is_alike = False

    def compute(self, dataloader: Collection[Any]) -> _Matrix:
        """See `BaseSimilarity.compute`."""
        total: _Matrix | None = None
        batches = 0
        for _, one, two in self._stacks(dataloader, precise=True):
            factors = [[_unit_factor(gram) for gram in stack] for stack in (one, two)]
            matrix = np.array([[PROCRUSTES.compare(a, b) for b in factors[1]] for a in factors[0]])
            total = matrix if total is None else total + matrix
            batches += 1
        return self._finish(total, batches)


def _unit_factor(gram: Tensor) -> Tensor:
    factor = gram_factor(gram.double())
    return factor.div(torch.linalg.norm(factor))

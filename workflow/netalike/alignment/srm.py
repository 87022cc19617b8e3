"""Shared response models: one response of all networks to each image, and an orthogonal map from it to each network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netalike.alignment import brainiak, checks, fitting
from netalike.errors import BadFileError, NetalikeError, ShapeError, unknown_name

Floats = NDArray[np.float64]
Reals = NDArray[np.floating[Any]]

METHODS = ("probabilistic", "deterministic")
CENTRES = ("mean", "brainiak")
IMPLEMENTATIONS = ("netalike", "brainiak")
_FORMAT = "netalike shared response"


class SharedResponse:
    """A shared response of several networks to the same images.

    Activations X_i of network i, one row for each image, are modelled as ``S W_i' + mu_i``: a response S that all
    networks share, and a basis W_i with orthonormal columns.

    Parameters
    ----------
    features : int, optional
        Width k of the shared response. None takes the smallest width of the networks: where all are equally wide the
        maps are rotations (with reflections), nothing is lost, and the alignment is rigid.
    method : {"probabilistic", "deterministic"}
        ``probabilistic`` has a Gaussian prior on S and a noise variance for each network, fitted by expectation
        maximisation; ``deterministic`` minimises the squared residuals.
    center : {"mean", "brainiak"}
        ``mean`` subtracts the mean of each unit over the images of the fit, everywhere: a constant added to a unit
        changes nothing but its mean. ``brainiak`` does what the published code does: the probabilistic model centres
        in the fit but neither in `transform` nor in the update of the noise (N1, N2), the deterministic one never
        centres, and both add 0.001 to a diagonal, so that the result depends a little on the scale of the data.
    iterations : int
    seed : int
        Of the random bases to begin with, drawn as BrainIAK draws them.
    implementation : {"netalike", "brainiak"}
        ``brainiak`` calls BrainIAK's own classes and needs ``center="brainiak"``.
    progress : bool
        Whether to show a progress bar.

    Attributes
    ----------
    bases_ : list of array, shape (p_i, k)
    shared_ : array, shape (n, k)
        In the probabilistic model the posterior mean of the last expectation step.
    means_ : list of array, shape (p_i,)
        Zeros where the model does not centre.
    noise_variances_ : array, shape (N,)
        NaN in the deterministic model.
    shared_covariance_ : array, shape (k, k)
        NaN in the deterministic model.
    objective_ : array, shape (iterations,)
        Probabilistic: the marginal log-likelihood at the start of each iteration, without its constant, which rises.
        Deterministic: the sum of squared residuals after each iteration, which falls.

    Raises
    ------
    UnknownNameError
        For an unknown method, centring or implementation.
    NetalikeError
        If BrainIAK is asked to centre, or for no iterations.

    Notes
    -----
    Chen et al. (2015), "A Reduced-Dimension fMRI Shared Response Model"; defaults of BrainIAK, but for its 50
    features. An iteration costs O(n k sum(p_i)) from the images, or O(k sum(p_i)^2) from cross products, whichever is
    less. Products with float32 images are in float32, which is twice as fast and exact to about 1e-7 of the largest
    number; everything else is in float64. The same call gives the same bits.

    Examples
    --------
    >>> model = SharedResponse().fit([train_a, train_b])  # doctest: +SKIP
    >>> model.score([test_a, test_b])  # doctest: +SKIP
    array([0.81, 0.79])
    """

    bases_: list[Floats]
    shared_: Floats
    means_: list[Floats]
    noise_variances_: Floats
    shared_covariance_: Floats
    objective_: Floats

    def __init__(
        self,
        features: int | None = None,
        *,
        method: str = "probabilistic",
        center: str = "mean",
        iterations: int = 10,
        seed: int = 0,
        implementation: str = "netalike",
        progress: bool = False,
    ) -> None:
        _known("method of SharedResponse", method, METHODS)
        _known("centring of SharedResponse", center, CENTRES)
        _known("implementation of SharedResponse", implementation, IMPLEMENTATIONS)
        if implementation == "brainiak" and center != "brainiak":
            raise NetalikeError(
                f"center={center!r} with implementation='brainiak': BrainIAK cannot centre so; ask for "
                "center='brainiak', or implementation='netalike'."
            )
        if iterations < 1:
            raise NetalikeError(f"iterations={iterations}: expected at least 1 (the published number is 10).")
        self.features, self.method, self.center = features, method, center
        self.iterations, self.seed = iterations, seed
        self.implementation, self.progress = implementation, progress
        self._model: Any = None  # BrainIAK's own

    def fit(self, X: Sequence[ArrayLike], names: Sequence[str] | None = None) -> Self:
        """Fit the bases and the shared response.

        Parameters
        ----------
        X : sequence of array_like, shape (n, p_i)
            Activations of each network: the same images in the same order.
        names : sequence of str, optional
            What messages call the networks, such as ``"conv-s3, layer pool1"``.

        Returns
        -------
        SharedResponse
            Itself.

        Raises
        ------
        ShapeError
            For fewer than two networks, different numbers of images, fewer images than features, or more features
            than units.
        NetalikeError
            For a NaN, or a network whose activations do not vary; or where BrainIAK is asked for and missing.
        """
        found = checks.activations(X, names)
        size = checks.fit_size(found, self.features, names)
        checks.refuse_constant(found, names)
        if self.implementation == "brainiak":
            fit, self._model = brainiak.fit(found, self.method, size, self.seed, self.iterations)
        else:
            fit = self._fit(found, size)
        self._set(fit)
        return self

    def _fit(self, X: Sequence[Reals], size: int) -> fitting.Fit:
        run = fitting.probabilistic if self.method == "probabilistic" else fitting.deterministic
        return run(X, size, self.seed, self.iterations, self.center == "mean", self.progress)

    def _set(self, fit: fitting.Fit) -> None:
        self.bases_, self.shared_, self.means_ = fit.bases, fit.shared, fit.means
        self.noise_variances_, self.shared_covariance_ = fit.noise_variances, fit.shared_covariance
        self.objective_ = fit.objective

    def transform(self, X: Sequence[ArrayLike]) -> list[Floats]:
        """Map activations of each network into the shared space.

        Parameters
        ----------
        X : sequence of array_like, shape (n_i, p_i)
            Of the networks of the fit, on any images.

        Returns
        -------
        list of array, shape (n_i, k)
            ``(X_i - mu_i) W_i``; with ``center="brainiak"`` ``X_i W_i``: as published, the mean is left in (N1).

        Raises
        ------
        ShapeError
            For another number of networks or of units.
        NetalikeError
            If the model is not fitted, or for a NaN.
        """
        found = self._known_networks(X, same_images=False)
        if self._model is not None:
            return [np.asarray(shared, dtype=np.float64).T for shared in self._model.transform([x.T for x in found])]
        return [(x - mean) @ basis for x, mean, basis in zip(found, self._subtracted(), self.bases_, strict=True)]

    def reconstruct(self, shared: ArrayLike) -> list[Floats]:
        """Map a shared response back to the units of each network.

        Parameters
        ----------
        shared : array_like, shape (n, k)

        Returns
        -------
        list of array, shape (n, p_i)
            ``S W_i' + mu_i``; with ``center="brainiak"`` without the mean, which `transform` left in.

        Raises
        ------
        ShapeError
            For another width.
        NetalikeError
            If the model is not fitted.
        """
        self._fitted()
        found = checks.activations([shared], ["the shared response"])[0]
        size = self.bases_[0].shape[1]
        if found.shape[1] != size:
            raise ShapeError(f"a shared response of {found.shape[1]} features given to a model of {size}.")
        return [found @ basis.T + mean for basis, mean in zip(self.bases_, self._subtracted(), strict=True)]

    def score(self, X: Sequence[ArrayLike]) -> Floats:
        """Return the share of variance of each network that the shared response explains.

        Parameters
        ----------
        X : sequence of array_like, shape (n, p_i)
            The same images for all networks; best those that were held out of the fit.

        Returns
        -------
        array, shape (N,)
            ``1 - mean((R_i - X_i)^2) / var(X_i)``, where R_i is reconstructed from the mean over the networks of
            their transforms. With ``center="mean"`` the variance is that of each unit over the images; with
            ``center="brainiak"`` that of all numbers, as published. At most 1.

        Raises
        ------
        ShapeError
            For another number of networks or of units, or different numbers of images.
        NetalikeError
            If the model is not fitted, for a NaN, or where the activations do not vary.

        Notes
        -----
        The mean holds the network itself: of independent noise it explains k / (N p_i), not 0.
        """
        found = self._known_networks(X, same_images=True)
        checks.refuse_constant(found, None)
        shared = np.mean(self.transform(found), axis=0)
        axis = 0 if self.center == "mean" else None
        pairs = zip(self.reconstruct(shared), found, strict=True)
        return np.array([1 - np.mean((built - x) ** 2) / np.mean(np.var(x, axis=axis)) for built, x in pairs])

    def save(self, path: str | Path) -> None:
        """Write the fitted model.

        Parameters
        ----------
        path : path
            Ends in ``.safetensors``.

        Raises
        ------
        BadFileError
            For another ending.
        NetalikeError
            If the model is not fitted.
        """
        from netalike.networks.keras_weights import write_arrays  # safetensors is needed only here

        self._fitted()
        told = {name: getattr(self, name) for name in _SETTINGS}
        write_arrays(_safetensors(path), self._arrays(), {"format": _FORMAT, "settings": told})

    def _arrays(self) -> dict[str, Floats]:
        arrays = {f"bases/{i:04d}": basis for i, basis in enumerate(self.bases_)}
        arrays |= {f"means/{i:04d}": mean for i, mean in enumerate(self.means_)}
        return arrays | {name: getattr(self, f"{name}_") for name in _ARRAYS}

    @classmethod
    def load(cls, path: str | Path) -> SharedResponse:
        """Read a model that `save` wrote.

        Parameters
        ----------
        path : path

        Returns
        -------
        SharedResponse
            Fitted. One of BrainIAK's transforms by our own code, which does the same.

        Raises
        ------
        BadFileError
            If the file is missing, damaged, or holds something else.
        """
        from netalike.networks.keras_weights import read_arrays, read_facts

        arrays = read_arrays(_safetensors(path), _FORMAT)
        model = cls(**read_facts(path)["settings"])
        kinds = ("bases/", "means/")
        bases, means = ([arrays[key] for key in sorted(arrays) if key.startswith(kind)] for kind in kinds)
        model._set(fitting.Fit(bases=bases, means=means, **{name: arrays[name] for name in _ARRAYS}))
        return model

    def _subtracted(self) -> list[Floats]:
        """What `transform` subtracts."""
        if self.center == "mean":
            return self.means_
        return [np.zeros_like(mean) for mean in self.means_]

    def _known_networks(self, X: Sequence[ArrayLike], same_images: bool) -> list[Reals]:
        self._fitted()
        found = checks.activations(X, same_images=same_images)
        checks.fitted_to(found, self.bases_)
        return found

    def _fitted(self) -> None:
        if not hasattr(self, "bases_"):
            raise NetalikeError("this SharedResponse is not fitted: call fit(X) first.")


_SETTINGS = ("features", "method", "center", "iterations", "seed", "implementation")
_ARRAYS = ("shared", "noise_variances", "shared_covariance", "objective")


def _known(kind: str, given: str, allowed: Sequence[str]) -> None:
    if given not in allowed:
        raise unknown_name(kind, given, allowed)


def _safetensors(path: str | Path) -> Path:
    if Path(path).suffix != ".safetensors":
        raise BadFileError(f"{path}: a shared response is stored in a .safetensors file; choose such a name.")
    return Path(path)

"""What kind of stitching layer is asked for: needs no framework, so that mistakes are found before anything loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netalike.errors import NetalikeError
from netalike.stitching.names import canonical


@dataclass(frozen=True)
class Form:
    """The kind of a stitching layer, and what it starts from; made by `form`, which checks it.

    Attributes
    ----------
    init : str
        random, permutation, identity, least_squares or ones_zeros.
    mask : str
        identity (none), semi_match, abs_semi_match or random_permutation.
    rank : int or None
        Of the factors that are trained in place of a full matrix.
    rank_start : str or None
        least_squares or random: what these factors start from.
    flatten : bool
        One linear map over all units instead of one over channels.
    resize : bool
        Whether the front activation is resized to the end layer's height and width.
    """

    init: str = "random"
    mask: str = "identity"
    rank: int | None = None
    rank_start: str | None = None
    flatten: bool = False
    resize: bool = False

    @property
    def start(self) -> str:
        """What the matrix starts from."""
        return self.init if self.rank is None or self.rank_start is None else self.rank_start

    def told(self) -> dict[str, Any]:
        """Return the parameters as a stored stitch names them."""
        return {
            "init": self.start,
            "mask": self.mask,
            "low_rank": self.rank,
            "flatten": self.flatten,
            "resize": self.resize,
        }


def form(
    init: str = "random",
    mask: str = "identity",
    rank: int | None = None,
    rank_start: str | None = None,
    flatten: bool = False,
    resize: bool = False,
) -> Form:
    """Check what is asked for, the published code's names included; see `Form` for the parameters.

    Returns
    -------
    Form
        With today's names.

    Raises
    ------
    UnknownNameError
        If there is no such initialisation or mask.
    NetalikeError
        If two options exclude each other.
    """
    init, mask = canonical("init", init), canonical("mask", mask)
    if rank is None and rank_start is not None:
        raise NetalikeError("--rank-start says what factors start from: give a rank with --low-rank as well.")
    if mask != "identity" and (rank is not None or flatten):
        other = "--low-rank" if rank is not None else "--flatten"
        raise NetalikeError(f"the mask {mask} is of a full matrix over channels: leave out {other}, or the mask.")
    return Form(init, mask, rank, rank_start, flatten, resize)

"""What two networks of an inversion study are to each other: the factors of every row that compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netalike.comparison import Member
from netalike.evidence.claims.keys import base_network
from netalike.evidence.measurements import condition
from netalike.experiments.inversion import architecture_of, eps_text
from netalike.measures.panel import UNTRAINED

PAIRS = ("self", "same_family", "same_architecture", "other_architecture", "trained_untrained", "untrained")
"""What two networks are to each other: a network and itself; seeds of one family; one architecture, trained otherwise;
two architectures; one of the two untrained; both untrained."""


TRAININGS = ("both_standard", "both_robust", "robust_row", "robust_column", "untrained")
"""How two networks were trained; row is the network that images are inverted through."""


@dataclass(frozen=True)
class Role:
    """One network of a study.

    Attributes
    ----------
    name, family, architecture : str
    eps : str
        What it was trained against, ``0`` for a standard network, ``none`` for an untrained twin.
    """

    name: str
    family: str
    architecture: str
    eps: str

    @property
    def is_trained(self) -> bool:
        """Whether it is no untrained twin."""
        return not self.name.endswith(UNTRAINED)


def roles_of(members: Sequence[Member], families: Mapping[str, str], eps: Mapping[str, float]) -> dict[str, Role]:
    """Say what each network is.

    Parameters
    ----------
    members : sequence of Member
    families : mapping of network to family
        Without the untrained twins.
    eps : mapping of network to float
        Likewise.

    Returns
    -------
    dict of str to Role
        In the order of the members.
    """
    return {
        member.name: Role(
            member.name, families[base_network(member.name)], architecture_of(member), eps_text(member.name, eps)
        )
        for member in members
    }


def pair_kind(a: Role, b: Role) -> str:
    """Say what two networks are to each other, see `PAIRS`."""
    if a.name == b.name:
        return "self"
    if not (a.is_trained and b.is_trained):
        return "trained_untrained" if a.is_trained or b.is_trained else "untrained"
    if a.family == b.family:
        return "same_family"
    return "same_architecture" if a.architecture == b.architecture else "other_architecture"


def training_of(a: Role, b: Role) -> str:
    """Say how two networks were trained, see `TRAININGS`."""
    if not (a.is_trained and b.is_trained):
        return "untrained"
    robust = (float(a.eps) > 0, float(b.eps) > 0)
    words = {(False, False): "both_standard", (True, True): "both_robust", (True, False): "robust_row"}
    return words.get(robust, "robust_column")


def pair_condition(a: Role, b: Role, **factors: str) -> str:
    """Write the factors of a row that compares network a (row, inverting) with network b (column)."""
    return condition(
        pair=pair_kind(a, b),
        training=training_of(a, b),
        eps_a=a.eps,
        eps_b=b.eps,
        same_eps="yes" if a.eps == b.eps else "no",
        **factors,
    )

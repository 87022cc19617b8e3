"""The questions that a panel can answer about a measure: which pairs ought to be more alike than which others.

Six of them are the tests of the ReSi benchmark (Klabunde et al. 2024, "ReSi: A Comprehensive Benchmark for
Representational Similarity Measures"). Tests 1 and 2 ground similarity in predictions, tests 3 to 6 in how networks
were made:

1. Correlation to Accuracy Difference (`accuracy`)
2. Correlation to Output Difference (`outputs`: Jensen-Shannon divergence; `predictions`: disagreement)
3. Label Randomization (`random_labels`)
4. Shortcut Affinity (`shortcut`)
5. Augmentation (`augmentation`)
6. Layer Monotonicity (`layer_monotonicity`, in `panel_layers`)

What differs from the benchmark: it compares the last inner layers of networks of one architecture, gives precision and
conformity averaged over groups, and has up to five degrees of randomization, shortcut and augmentation; here a pair's
value is the mean over matched layers, all groups are pooled in one AUC, and the degrees are those of the panel.

`controls`, `seeds`, `architectures` and `training` are our own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from netalike.errors import NetalikeError
from netalike.experiments.panel_grid import Facts, Mask, PairGrid, base
from netalike.experiments.panel_measures import TRAINED

AUC, SPEARMAN, CONFORMITY = "auc", "spearman", "conformity"

Split = tuple[Mask, Mask]
"""Which pairs ought to be alike, and which not; shape (pairs,) each."""


@dataclass(frozen=True)
class Question:
    """Something that a measure ought to see.

    Attributes
    ----------
    key : str
        The factor ``question`` of the condition.
    words : str
        For a person.
    statistic : {"auc", "spearman", "conformity"}
        What answers it: the probability that a pair that ought to be alike is more so than one that ought not
        (ties count half); the rank correlation with a yardstick; or the share of triples of layers in order.
    needs : str
        What a panel that cannot answer it lacks.
    split : callable, optional
        ``split(grid, facts)`` for an AUC.
    yardstick : str
        Key of the measure that others are correlated with.
    resi : int
        Number of the test of the ReSi benchmark; 0 for our own.
    """

    key: str
    words: str
    statistic: str
    needs: str
    split: Callable[[PairGrid, Facts], Split] | None = None
    yardstick: str = ""
    resi: int = 0


def facts_of(panel: Mapping[str, Any]) -> Facts:
    """Return what is known of each network of a panel.

    Parameters
    ----------
    panel : mapping
        ``members``, and if known ``facts`` (network id to ``architecture``, ``task``, ``dataset``, ``training``,
        ``eps``, ``augment``).

    Returns
    -------
    mapping of str to mapping
        Without ``facts``, the family of each network stands for its architecture.

    Raises
    ------
    NetalikeError
        If some members have facts and others none.
    """
    facts = panel.get("facts")
    if not facts:
        return {network: {"architecture": family} for network, family in panel["members"].items()}
    missing = [network for network in panel["members"] if network not in facts]
    if missing:
        raise NetalikeError(f"the panel's facts lack {', '.join(missing)}: expected an entry for each of its members.")
    return dict(facts)


# ---- which pairs -----------------------------------------------------------------------------------------------------


def controls(grid: PairGrid, facts: Facts) -> Split:
    """Two trained networks of one family, against a trained and an untrained network of one architecture.

    Pairs with an untrained network are those that all measures have that have any: CKA is there for more of them, and
    would be asked another question.
    """
    untrained = (grid.pair == "trained_untrained") & _same(grid, facts, "architecture")
    return grid.pair == "same_family", untrained & _common(grid, untrained)


def seeds(grid: PairGrid, facts: Facts) -> Split:
    """A network with itself, against two networks of one family: same settings, other seeds."""
    selves = grid.pair == "self"
    return selves & _common(grid, selves), grid.pair == "same_family"


def architectures(grid: PairGrid, facts: Facts) -> Split:
    """Same against other architecture, of pairs of one task, data set and size of attacks (`eps`)."""
    alike = _trained(grid) & _same(grid, facts, "task", "dataset", "eps")
    return _parted(alike, _same(grid, facts, "architecture"))


def training(grid: PairGrid, facts: Facts) -> Split:
    """Same against other way of training (settings, task, or attacks), of pairs of one architecture and data set."""
    alike = _trained(grid) & _same(grid, facts, "architecture", "dataset")
    return _within_groups(grid, *_parted(alike, _same(grid, facts, "training", "task", "eps")))


def random_labels(grid: PairGrid, facts: Facts) -> Split:
    """Test 3: networks that learnt the classes, and networks that learnt random labels; alike within each group."""
    return _two_tasks(grid, facts, "random_labels")


def shortcut(grid: PairGrid, facts: Facts) -> Split:
    """Test 4: networks that learnt without a shortcut, and networks that had one; alike within each group."""
    return _two_tasks(grid, facts, "shortcut")


def augmentation(grid: PairGrid, facts: Facts) -> Split:
    """Test 5: same against other augmentation, of pairs of one architecture, data set, task and size of attacks."""
    known = _each(grid, facts, lambda told: told.get("augment") is not None)
    alike = _trained(grid) & known & _same(grid, facts, "architecture", "dataset", "task", "eps")
    same = _same(grid, facts, "augment")
    return _within_groups(grid, alike & same & _same(grid, facts, "training"), alike & ~same)


def _two_tasks(grid: PairGrid, facts: Facts, task: str) -> Split:
    """Pairs of one architecture, data set and size of attacks, of networks that learnt classes or `task`."""
    chosen = _each(grid, facts, lambda told: told.get("task") in ("classes", task))
    alike = _trained(grid) & chosen & _same(grid, facts, "architecture", "dataset", "eps")
    same = _same(grid, facts, "task")
    return _within_groups(grid, alike & same & _same(grid, facts, "training"), alike & ~same)


def _within_groups(grid: PairGrid, positive: Mask, negative: Mask) -> Split:
    """Leave out pairs of networks that no negative pair has: an architecture with one training has no say."""
    taking_part = {*grid.network_a[negative], *grid.network_b[negative]}
    return positive & np.array([network in taking_part for network in grid.network_a], bool), negative


def _parted(alike: Mask, same: Mask) -> Split:
    return alike & same, alike & ~same


def _trained(grid: PairGrid) -> Mask:
    return np.isin(grid.pair, TRAINED)


def _same(grid: PairGrid, facts: Facts, *keys: str) -> Mask:
    """Whether the networks of each pair have the same facts; a control has those of the network it was made from."""

    def told(network: str) -> tuple[Any, ...]:
        return tuple(facts.get(base(network), {}).get(key) for key in keys)

    return np.array([told(a) == told(b) for a, b in zip(grid.network_a, grid.network_b, strict=True)], bool)


def _each(grid: PairGrid, facts: Facts, holds: Callable[[Mapping[str, Any]], bool]) -> Mask:
    """Whether something holds for both networks of each pair."""
    sides = zip(grid.network_a, grid.network_b, strict=True)
    return np.array([all(holds(facts.get(base(network), {})) for network in pair) for pair in sides], bool)


def _common(grid: PairGrid, pairs: Mask) -> Mask:
    """Of some pairs, those that every measure has that has any of them."""
    concerned = grid.measured[pairs].any(axis=0)
    return np.asarray(grid.measured[:, concerned].all(axis=1))


QUESTIONS: dict[str, Question] = {
    question.key: question
    for question in (
        Question(
            "controls",
            "trained or not",
            AUC,
            "pairs of trained networks of one family, and of a trained and an untrained one",
            controls,
        ),
        Question(
            "seeds",
            "the same network, or another seed",
            AUC,
            "network compared with itself beside pairs of one family",
            seeds,
        ),
        Question(
            "architectures",
            "same or other architecture",
            AUC,
            "comparable pairs of one and of two architectures",
            architectures,
        ),
        Question(
            "training",
            "same or other training",
            AUC,
            "comparable pairs of one architecture, trained alike and otherwise",
            training,
        ),
        Question(
            "accuracy",
            "follows the difference of accuracies",
            SPEARMAN,
            "differences of accuracy",
            yardstick="accuracy_difference/absolute",
            resi=1,
        ),
        Question(
            "outputs",
            "follows the divergence of outputs",
            SPEARMAN,
            "divergences of outputs",
            yardstick="output_divergence/jensen_shannon",
            resi=2,
        ),
        Question(
            "predictions",
            "follows the agreement of predictions",
            SPEARMAN,
            "agreements of predictions",
            yardstick="prediction_agreement/share",
            resi=2,
        ),
        Question(
            "random_labels",
            "true or random labels",
            AUC,
            "comparable networks with true and with random labels",
            random_labels,
            resi=3,
        ),
        Question(
            "shortcut",
            "with or without a shortcut",
            AUC,
            "comparable networks with and without a shortcut",
            shortcut,
            resi=4,
        ),
        Question(
            "augmentation",
            "same or other augmentation",
            AUC,
            "comparable networks of two ways of augmentation",
            augmentation,
            resi=5,
        ),
        Question(
            "layer_monotonicity",
            "nearer layers are more alike",
            CONFORMITY,
            "values of all pairs of layers of a network with itself",
            resi=6,
        ),
    )
}
"""All questions by key, in the order of tables and figures."""

"""What the pages call the relations of two networks and the questions of a panel, and numbers in a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netalike.experiments.panel_questions import QUESTIONS

RELATIONS = {
    "self": "the same network twice",
    "permuted_units": "the same network, its units in another order",
    "same_family": "same family",
    "other_family": "different families",
    "untrained": "both untrained",
    "trained_untrained": "one trained, one untrained",
    "permuted_samples": "images in another order",
    "noise": "independent noise",
}
"""Each relation of two networks of a panel, most alike first."""


HINTS = {
    "controls": "two trained networks of one family, against a trained and an untrained network",
    "seeds": "a network with itself, against two seeds of one family",
    "architectures": "two networks of one architecture, against two architectures",
    "training": "two networks trained in the same way, against two ways of training",
    "accuracy": "rank correlation of the similarity with how near the two accuracies are",
    "outputs": "rank correlation of the similarity with how near the two networks' outputs are",
    "predictions": "rank correlation of the similarity with how often the two networks predict the same",
    "random_labels": "two networks that learnt from labels of one kind, against true and random labels",
    "shortcut": "two networks that both had a shortcut or both had none, against one of each",
    "augmentation": "two networks trained with the same augmentation, against two augmentations",
    "layer_monotonicity": "share of triples of layers in which the nearer one is the more alike",
}
"""What the number that answers each question is about."""


@dataclass(frozen=True)
class AskedQuestion:
    """A question to all measures of a panel.

    Attributes
    ----------
    key, words, statistic : str
    hint : str
        What the number is about, and how many pairs it is over.
    resi : int
        Number of the test of the ReSi benchmark that it is, 0 for our own.
    why : str
        Why no measure answers it; empty where one does.
    """

    key: str
    words: str
    statistic: str
    hint: str
    resi: int
    why: str


def asked_question(key: str, factors: Mapping[str, str], why: str) -> AskedQuestion:
    """Return a question in words; of one that is not known, its key.

    Parameters
    ----------
    key : str
    factors : mapping
        ``statistic``, ``n_positive`` and ``n_negative``, as the condition of a row has them.
    why : str
    """
    known = QUESTIONS.get(key)
    statistic = factors.get("statistic", "auc")
    counts = [text for name in ("n_positive", "n_negative") if (text := factors.get(name, "0")) != "0"]
    number = f" ({' against '.join(counts) or '0'} {_unit(statistic)})"
    words = known.words if known else key.replace("_", " ")
    return AskedQuestion(key, words, statistic, HINTS.get(key, words) + number, known.resi if known else 0, why)


def _unit(statistic: str) -> str:
    return "triples" if statistic == "conformity" else "pairs"


def listed(words: Sequence[str], at_most: int | None = None, others: str = "others") -> str:
    """Join words as a sentence does: ``a, b and c``, or ``a, b and 4 others`` where there are more than `at_most`.

    Where one of them holds a comma, semicolons part them.
    """
    if at_most is not None and len(words) > at_most + 1:
        words = [*words[:at_most], f"{len(words) - at_most} {others}"]
    mark = "; " if any("," in word for word in words) else ", "
    last = "; and " if mark == "; " and len(words) > 2 else " and "
    return last.join(filter(None, [mark.join(words[:-1]), *words[-1:]]))


def counted(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: ``1 panel``, ``2 panels``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def seconds_text(seconds: float) -> str:
    """Return a time as a person says it: ``0.4 ms``, ``12 s``, ``3.1 min``; empty if it is not finite."""
    if not math.isfinite(seconds):
        return ""
    if seconds < 1:
        return f"{_two_figures(1000 * seconds)} ms"
    return f"{_two_figures(seconds)} s" if seconds < 120 else f"{_two_figures(seconds / 60)} min"


def _two_figures(number: float) -> str:
    return f"{float(f'{number:.2g}'):,.10g}"

"""Measures of similarity between representations; `names()` lists them, `measure(name)` calls one.

The order of the imports is the order of the registry.
"""

from netalike.measures import cka as _cka  # noqa: F401  # isort: skip
from netalike.measures import procrustes as _procrustes  # noqa: F401  # isort: skip
from netalike.measures import cca as _cca  # noqa: F401  # isort: skip
from netalike.measures import rsa as _rsa  # noqa: F401  # isort: skip
from netalike.measures.cka import cka, deconfounded_cka, explained_by_inputs
from netalike.measures.registry import INVARIANCES, Measure, all_measures, measure, names, of_quantity
from netalike.measures.streaming import PairwiseCKA, PairwiseResult
from netalike.measures.undefined import UndefinedMeasureError

__all__ = [
    "INVARIANCES",
    "Measure",
    "PairwiseCKA",
    "PairwiseResult",
    "UndefinedMeasureError",
    "all_measures",
    "cka",
    "deconfounded_cka",
    "explained_by_inputs",
    "measure",
    "names",
    "of_quantity",
]

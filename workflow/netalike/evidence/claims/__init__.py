"""Claims of the papers: what they say, which rows test it, and a verdict."""

from netalike.evidence.claims.estimation import Estimate, estimate
from netalike.evidence.claims.judging import Judgement, judge
from netalike.evidence.claims.loading import load
from netalike.evidence.claims.mistakes import ClaimError
from netalike.evidence.claims.schema import Claim, Statistic, Tolerance
from netalike.evidence.claims.tables import CLAIM_COLUMNS, judge_all
from netalike.evidence.claims.verdicts import VERDICTS, verdict

__all__ = [
    "CLAIM_COLUMNS",
    "VERDICTS",
    "Claim",
    "ClaimError",
    "Estimate",
    "Judgement",
    "Statistic",
    "Tolerance",
    "estimate",
    "judge",
    "judge_all",
    "load",
    "verdict",
]

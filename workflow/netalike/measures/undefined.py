"""Why a measure has no value: the reason is a result, and it travels with the missing number."""

from __future__ import annotations

from netalike.errors import NetalikeError


class UndefinedMeasureError(NetalikeError, ArithmeticError):
    """The measure has no value for this input; the text says why and names no number."""

    @property
    def status(self) -> str:
        """The entry for the `status` column of the measurement table."""
        return f"undefined: {self}"

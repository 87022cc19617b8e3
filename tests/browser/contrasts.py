"""How well text stands out from its ground, as a browser draws it."""

from __future__ import annotations

from typing import Any


def contrast(tab: Any, selector: str, ink: str, ground: str, behind: str | None = None) -> float:
    """Return the contrast ratio of WCAG 2.2."""

    def luminance(where: str, kind: str) -> float:
        colour = tab.eval_on_selector(where, "(e, kind) => getComputedStyle(e).getPropertyValue(kind)", kind)
        parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    one, other = sorted((luminance(selector, ink), luminance(behind or selector, ground)))
    return (other + 0.05) / (one + 0.05)

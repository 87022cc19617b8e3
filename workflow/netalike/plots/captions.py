"""One caption for a figure, wherever it is shown: in the page, on its card and in Snakemake's report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

# beside the library, so that they are found where another workflow imports this one and runs elsewhere
CAPTIONS = Path(__file__).resolve().parents[2] / "report"


def caption(name: str, **context: Any) -> str:
    """Render a caption of workflow/report, a Jinja template over what the figure was made with.

    Parameters
    ----------
    name : str
        Of the file, without its suffix.
    **context
        ``snakemake``, as Snakemake's own report gives it to the same file.

    Returns
    -------
    str
        One line of plain text.
    """
    text = (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8")
    rendered = jinja2.Template(text, undefined=jinja2.StrictUndefined).render(**context)
    return " ".join(rendered.replace("``", "").split())

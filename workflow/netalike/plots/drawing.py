"""Several figures in one process: each script of a figure gets a job of its own, cut out of the job that draws them."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from netalike.progress import progress


class Names(dict[str, Any]):
    """Values by name, to be read as items or as attributes, as Snakemake gives them to a script."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no {name}: there is {', '.join(self) or 'nothing'}") from None


# Beside the library, and not beside the script that is run: Snakemake copies that one alone where the workflow is
# imported from an address.
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def draw_figures(job: Any, scripts: Path = SCRIPTS) -> None:
    """Run the scripts of all figures of a job, one after the other.

    Parameters
    ----------
    job : object
        ``snakemake``, as a script sees it; see `figure_jobs`.
    scripts : path
        Their folder; that of a figure is ``plot_<script>.py``.

    Notes
    -----
    To start Python and to import what draws takes as long as to draw a figure. A script is the same whether it is run
    here or by a rule of its own.
    """
    jobs = list(figure_jobs(job))
    for one in progress(jobs, "Drawing", unit="figure"):
        print(f"{one.output.figure}")
        runpy.run_path(str(scripts / f"plot_{one.params.figure}.py"), init_globals={"snakemake": one})


def figure_jobs(job: Any) -> Iterator[Any]:
    """Cut a job that draws several figures into one for each.

    Parameters
    ----------
    job : object
        ``snakemake``. Its parameter ``figures`` has, by name of the output, the ``script`` of each figure, and
        optionally the inputs whose ``rows`` it shows (``measurements`` when left out) and ``wildcards`` of its own.

    Yields
    ------
    object
        What a script reads of ``snakemake``: input, output, wildcards, params, rule and log.
    """
    for name, known in job.params.figures.items():
        inputs = Names(job.input.items())
        inputs["measurements"] = [file for part in known.get("rows", ["measurements"]) for file in _files(inputs[part])]
        yield SimpleNamespace(
            input=inputs,
            output=Names(figure=job.output[name]),
            wildcards=Names(job.wildcards.items(), **known.get("wildcards", {})),
            params=Names(job.params.items(), figure=known["script"]),
            rule=job.rule,
            log=job.log,
        )


def _files(found: Any) -> list[str]:
    return [found] if isinstance(found, str) else list(found)

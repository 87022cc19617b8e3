"""What the Snakefile calls before the first job and after the last, with the facts of Snakemake's own objects."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netalike import preflight, watching

if TYPE_CHECKING:
    from netalike.configuration.models import Configuration


@dataclass
class Watch:
    """A run, as Snakemake's hooks see it.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
    settings : Configuration
    conda : bool
        Whether jobs run in environments of conda.
    """

    workflow: Any
    settings: Configuration
    conda: bool = False
    _began: float = field(default_factory=time.monotonic)
    _jobs: list[Any] = field(default_factory=list)

    def before_environments(self, files: Iterable[str | Path]) -> None:
        """Refuse an offline run whose environments of conda are not there, with all else that stands in its way.

        Snakemake makes environments before its hook ``onstart``, and without a network would fail at the first.

        Parameters
        ----------
        files : iterable of path
            The environment files.

        Raises
        ------
        NetalikeError
            As `netalike.preflight.require`.
        """
        offline = self.conda and self.settings.data.offline
        if not offline or not self.workflow.is_main_process or self.workflow.output_settings.dryrun:
            return
        if missing := preflight.missing_environments(self.workflow, files):
            preflight.require(self.settings, conda=True, environments=missing)

    def start(self) -> None:
        """Look for what stands in the way, and say how long the run may take; refuse only where the run is offline.

        Raises
        ------
        NetalikeError
            As `netalike.preflight.require`.
        """
        self._began = time.monotonic()
        self._jobs = list(self.workflow.dag.needrun_jobs())
        found = preflight.require(
            self.settings,
            files=[str(file) for job in self._jobs for file in (*job.input, *job.output)],
            rules={job.rule.name for job in self._jobs},
            local=self.workflow.local_exec,
            conda=self.conda,
            most_mb=max((_megabytes(job) for job in self._jobs), default=0),
        )
        local = self.workflow.local_exec
        # a cluster may have been given any number of jobs, and runs each on as many cores as it asks for
        at_once = self.workflow.cores if local else min(self.workflow.nodes, len(self._jobs))
        jobs = [(_benchmark(job), int(job.threads) if local else 1) for job in self._jobs]
        said = watching.begin(watching.forecast(jobs, at_once), at_once, "cores" if local else "nodes")
        print("\n".join([found, said] if found else [said]), flush=True)

    def succeed(self) -> None:
        """Say what the run made, what it found, what took longest, and where to look."""
        outputs = [str(file) for job in self._jobs for file in job.output]
        benchmarks = [file for job in self._jobs if (file := _benchmark(job)) is not None]
        seconds = time.monotonic() - self._began
        print(f"\n{watching.summary(outputs, benchmarks, seconds)}", flush=True)

    def fail(self, log: str | Sequence[str]) -> None:
        """Say briefly what failed.

        Parameters
        ----------
        log : str or sequence of str
            What Snakemake gives its hooks: its own log file, or several.
        """
        files = [log] if isinstance(log, str) else list(log)
        print(f"\n{watching.failed(files[0] if files else '')}", flush=True)


def _benchmark(job: Any) -> str | None:
    return None if job.benchmark is None else str(job.benchmark)


def _megabytes(job: Any) -> float:
    asked = job.resources.get("mem_mb", 0)
    return float(asked) if isinstance(asked, int | float) else 0.0

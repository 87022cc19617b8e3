"""What the scripts of the workflow share: the log file, the threads, and one line for a user's mistake."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netalike.errors import NetalikeError
from netalike.evidence import job_environment

# Of glibc's malloc.h, in bytes: what is smaller comes from the heap (32 MiB is the most that glibc allows), and so much
# of the heap's end stays with the process when it is free.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = (-3, 32 << 20), (-1, 256 << 20)

_logging = False  # whether this process sends what it prints to a log already


@contextmanager
def log_to(path: str | Path, threads: int | None = None) -> Iterator[None]:
    """Send everything a script prints, also from compiled code, to the rule's log file.

    Parameters
    ----------
    path : str or Path
        Snakemake's ``snakemake.log[0]``.
    threads : int, optional
        Threads that PyTorch may use, where the environment has it: jobs run side by side, and must not each take the
        whole machine.

    Notes
    -----
    The versions that the job ran with are recorded once for each environment, see `netalike.evidence.job_environment`;
    a framework of a release that was not tested is a warning at the end of the log.

    Within another `log_to` nothing changes: what is printed and raised goes to the outer one, so that a script of one
    figure can be run by a job that draws several.

    A `NetalikeError` ends the script with its message alone, in the log and on the terminal; any other error keeps its
    traceback in the log, and its last line goes to the terminal.
    """
    global _logging
    if _logging:
        yield
        return
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    terminal = os.dup(2)
    _logging = True
    with path.open("w") as log:
        saved = os.dup(1)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            _limit_threads(threads)
            _keep_memory()
            with _environment_noted(path):
                yield
        except NetalikeError as error:
            _say(terminal, f"{error}\n")
            print(error, file=sys.stderr)
            raise SystemExit(1) from error
        except Exception as error:
            _say(terminal, f"{type(error).__name__}: {error} (the whole story is in {path})\n")
            traceback.print_exc()
            raise SystemExit(1) from error
        finally:
            _logging = False
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(saved, 1)
            os.dup2(terminal, 2)
            os.close(saved)
            os.close(terminal)


def _say(terminal: int, text: str) -> None:
    os.write(terminal, text.encode(errors="replace"))


@contextmanager
def _environment_noted(log: Path) -> Iterator[None]:
    try:
        yield
    finally:  # also for a job that fails: its environment may be why. Before the error, which a log ends with.
        environment = job_environment.current()
        job_environment.record(environment, log)
        for sentence in job_environment.warnings(environment):
            print(sentence, file=sys.stderr)


def _limit_threads(threads: int | None) -> None:
    if threads is None:
        return
    try:
        import torch
    except ModuleNotFoundError:
        return  # an environment without PyTorch; where it is needed, the script says so
    torch.set_num_threads(threads)


def _keep_memory() -> None:
    # The tensors of a step are those of the step before: asking the system for their pages anew, which it fills with
    # zeros, was a third of the time of inversions through LeNet. Another C library has no mallopt, and nothing changes.
    with contextlib.suppress(OSError, AttributeError, TypeError):
        for option, value in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            ctypes.CDLL(None).mallopt(option, value)

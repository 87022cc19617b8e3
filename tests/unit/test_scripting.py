"""A script's log holds all that it says; the terminal gets one line of a user's mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def run(repository, tmp_path):
    """Run a script's body inside `log_to`, in a process of its own: the helper replaces file descriptors."""

    def start(body: str, arguments: str = "") -> tuple[subprocess.CompletedProcess[str], Path]:
        log = tmp_path / "logs" / "rule" / "job.log"
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        script = tmp_path / "script.py"
        script.write_text(
            "import os, sys\n"
            "from netalike.errors import NetalikeError, UnknownNameError\n"
            "from netalike.scripting import log_to\n"
            "print('before')\n"
            f"with log_to({str(log)!r}{arguments}):\n{lines}\n"
            "print('after')\n"
            "print('after, too', file=sys.stderr)\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(repository / "workflow"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, timeout=60)
        return done, log

    return start


def test_all_that_is_said_is_in_the_log_and_nothing_else(run):
    done, log = run(
        "print('from python')\n"
        "print('an error line', file=sys.stderr)\n"
        "sys.stdout.flush()\n"
        "os.write(1, b'from compiled code\\n')\n"
        "os.write(2, b'its errors\\n')\n"
        "os.system('echo from a child')\n"
        "print('last, not flushed', end='')"
    )
    assert done.returncode == 0
    assert sorted(log.read_text().splitlines()) == sorted(
        ["an error line", "from compiled code", "from python", "from a child", "its errors", "last, not flushed"]
    )
    assert done.stdout == "before\nafter\n"
    assert done.stderr == "after, too\n"


def test_a_mistake_ends_with_its_message_alone(run):
    done, log = run("print('working')\nraise UnknownNameError(\"unknown layer 'bn9'. Did you mean 'bn8'?\")")
    assert done.returncode == 1
    assert done.stdout == "before\n"
    assert done.stderr == "unknown layer 'bn9'. Did you mean 'bn8'?\n"
    assert log.read_text().splitlines() == ["working", "unknown layer 'bn9'. Did you mean 'bn8'?"]


def test_another_error_keeps_its_traceback_in_the_log(run):
    done, log = run("def deep():\n    return 1 / 0\ndeep()")
    assert done.returncode == 1
    assert done.stderr == f"ZeroDivisionError: division by zero (the whole story is in {log})\n"
    text = log.read_text()
    assert text.startswith("Traceback (most recent call last):")
    assert "in deep" in text
    assert text.endswith("ZeroDivisionError: division by zero\n")


def test_a_script_that_exits_by_itself_keeps_its_code(run):
    done, log = run("print('enough')\nraise SystemExit(3)")
    assert done.returncode == 3
    assert log.read_text() == "enough\n"
    assert done.stderr == ""


def test_the_threads_are_set(run):
    done, log = run("import torch\nprint(torch.get_num_threads())", ", threads=3")
    assert done.returncode == 0
    assert log.read_text() == "3\n"


def test_without_threads_pytorch_is_not_imported(run):
    done, log = run("print('torch' in sys.modules)")
    assert done.returncode == 0
    assert log.read_text() == "False\n"


def test_a_log_of_an_earlier_run_is_replaced(run):
    run("print('first, and much longer')")
    _, log = run("print('second')")
    assert log.read_text() == "second\n"


def test_a_log_within_a_log_is_the_outer_one(run):
    done, log = run(
        "print('outer')\nwith log_to('inner.log'):\n    print('inner')\nprint('outer again')\n"
        "with log_to('inner.log'):\n    raise NetalikeError('no rows')"
    )
    assert done.returncode == 1
    assert log.read_text().splitlines()[:3] == ["outer", "inner", "outer again"]
    assert not (log.parent / "inner.log").exists()
    assert done.stderr == "no rows\n"  # said once

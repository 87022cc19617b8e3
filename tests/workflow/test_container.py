"""The recipe of an image, as Snakemake writes it from the environments; it is not built here."""

import os
import re
from pathlib import Path

# what Snakemake asks conda before it writes the recipe: the platform, and no more
CONDA = """#!/bin/sh
case "$*" in
  *--version*) echo "conda 24.7.1" ;;
  *priority*) echo '{"get": {"channel_priority": "strict"}}' ;;
  *) echo '{"platform": "linux-64", "conda_version": "24.7.1", "conda_prefix": "/opt/conda"}' ;;
esac
"""


def test_every_environment_is_copied_and_made_once(snakemake, checkout: Path, tmp_path):
    (tmp_path / "conda").write_text(CONDA)
    (tmp_path / "conda").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = snakemake("--containerize", environment={"PATH": path})
    assert done.returncode == 0, done.stderr[-2000:]
    recipe = done.stdout
    assert recipe.startswith("FROM condaforge/miniforge3:")
    copied = dict(re.findall(r"^COPY (\S+) /conda-envs/(\w{32})/environment\.yaml$", recipe, flags=re.MULTILINE))
    assert set(copied) == {f"envs/{file.name}" for file in (checkout / "envs").glob("*.yaml")}
    assert len(set(copied.values())) == len(copied)
    for prefix in copied.values():
        command = f"conda env create --prefix /conda-envs/{prefix} --file /conda-envs/{prefix}/environment.yaml"
        assert recipe.count(command) == 1
    # one layer for all, cleaned in the same layer
    assert recipe.rstrip().endswith("conda clean --all -y")

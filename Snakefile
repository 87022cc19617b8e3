# Five papers on when two neural networks are alike, reproduced and compared.
#
#   snakemake --cores all                  the default preset: every table, figure and the page
#   snakemake --cores 2 deconfounded_cka   one paper
#   snakemake -n                           what would run
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

min_version("9.0")

# The library is not installed in the rules' environments: every job finds it here, whichever environment it runs in.
LIBRARY = str(Path(workflow.basedir) / "workflow")
sys.path.insert(0, LIBRARY)
os.environ["PYTHONPATH"] = os.pathsep.join(
    [LIBRARY, *[path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != LIBRARY]]
)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


# Also for the jobs of a cluster.
envvars:
    "PYTHONPATH",


deployment = workflow.deployment_settings
if DeploymentMethod.CONDA in deployment.deployment_method and not deployment.conda_not_block_search_path_envvars:
    raise WorkflowError(
        "with conda, Snakemake hides the library from its jobs unless it is told not to. "
        "Add `--conda-not-block-search-path-envvars` to the command, or to your profile:\n"
        "    conda-not-block-search-path-envvars: true"
    )


from netalike import configuration
from netalike.errors import NetalikeError

# Snakemake's own reader keeps the last of two equal keys and says nothing; ours names both lines.
try:
    for file in (Path(workflow.basedir) / "config.yaml", *workflow.overwrite_configfiles):
        configuration.read(Path(file))
except NetalikeError as error:
    raise WorkflowError(str(error)) from None


configfile: "config.yaml"


try:
    settings = configuration.load(config, workflow.basedir)
except NetalikeError as error:
    raise WorkflowError(str(error)) from None
config.clear()
config.update(settings.as_dict())


include: "rules/common.smk"
include: "rules/panels.smk"
include: "rules/data.smk"
include: "rules/networks.smk"
include: "rules/input_similarity.smk"
include: "rules/deconfounded_cka.smk"
include: "rules/stitching.smk"
include: "rules/shared_response.smk"
include: "rules/inversion.smk"
include: "rules/figures.smk"
include: "rules/comparison.smk"
include: "rules/report.smk"


localrules:
    all,
    input_similarity,
    deconfounded_cka,
    stitching,
    shared_response,
    inversion,
    comparison,


rule all:
    default_target: True
    input:
        rules.build_page.output,


# One target per paper: its figures, and with them the rows that they draw.
rule input_similarity:
    input:
        paper_figures("input_similarity"),


rule deconfounded_cka:
    input:
        paper_figures("deconfounded_cka"),


rule stitching:
    input:
        paper_figures("stitching"),


rule shared_response:
    input:
        paper_figures("shared_response"),
        animations(),


rule inversion:
    input:
        paper_figures("inversion"),


rule comparison:
    input:
        paper_figures("comparison"),


onsuccess:
    print("\nThe page:    results/index.html\nTables:      results/tables/\nFigures:     results/figures/")

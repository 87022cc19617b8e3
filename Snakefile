# Five papers on when two neural networks are alike, reproduced and compared.
#
#   snakemake --cores all                  the default preset: every table, figure and the page
#   snakemake --cores 2 deconfounded_cka   one paper
#   snakemake -n                           what would run
import os
import sys
import tarfile
import tempfile
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

min_version("9.0")

# Not workflow.basedir, which is the importing workflow's folder where this one is imported with `module`.
here = workflow.current_basedir
HOME = Path(str(here))
if hasattr(here, "hosted_repo"):
    # Imported from an address: Snakemake brings rules and scripts one by one, and the library not at all. Its clone has
    # everything, and is unpacked once for each commit.
    commit = here.hosted_repo.repo.commit(here.ref).hexsha
    HOME = Path(".snakemake", "netalike", commit).absolute()
    if not HOME.exists():
        HOME.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=HOME.parent) as temporary, tempfile.TemporaryFile() as file:
            here.hosted_repo.repo.archive(file, treeish=commit)
            file.seek(0)
            with tarfile.open(fileobj=file) as archive:
                archive.extractall(Path(temporary, "whole"), filter="data")
            Path(temporary, "whole").rename(HOME)
if not (HOME / "workflow" / "netalike").is_dir():
    raise WorkflowError(f"the library of this workflow is not in {HOME}: name the Snakefile of a clone in `module`.")

# The library is not installed in the rules' environments: every job finds it here, whichever environment it runs in.
LIBRARY = str(HOME / "workflow")
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
from netalike.hooks import Watch

# Snakemake's own reader keeps the last of two equal keys and says nothing; ours names both lines.
try:
    for file in (HOME / "config.yaml", *workflow.overwrite_configfiles):
        configuration.read(Path(file))
except NetalikeError as error:
    raise WorkflowError(str(error)) from None

# In the folder of the run: a deployed or importing workflow brings a configuration of its own.
if Path("config.yaml").exists():

    configfile: "config.yaml"


try:
    # A module is read once for each `use rule`: from the second time on, its configuration is complete.
    complete = config.pop("complete", False)
    settings = configuration.validated(config) if complete else configuration.load(config, HOME)
    watch = Watch(workflow, settings, DeploymentMethod.CONDA in deployment.deployment_method)
    watch.before_environments(sorted((HOME / "envs").glob("*.yaml")))
except NetalikeError as error:
    raise WorkflowError(str(error)) from None
config.clear()
config.update(settings.as_dict(), complete=True)


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


# What stands in the way is said before the first job; only an offline run is refused for it.
onstart:
    try:
        watch.start()
    except NetalikeError as error:
        raise WorkflowError(str(error)) from None


onsuccess:
    watch.succeed()


onerror:
    watch.fail(log)

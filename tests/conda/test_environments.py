"""Each conda environment pins what the constraints file pins, and holds all that the scripts of its rules import."""

import ast
import functools
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

ENVIRONMENTS = ("brainiak", "report", "tensorflow", "torch")
CONSTRAINTS = "envs/constraints-py311-linux-x86_64.txt"
_RULE = re.compile(r"^[ ]*(?:rule|checkpoint)\b.*:$", re.MULTILINE)

# Imported module -> distribution, where the names differ. What comes with another, at a version that the other asks
# for, is named by that other.
DISTRIBUTION = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
    "jinja2": "Jinja2",
    "tensorflow": "tensorflow_cpu",
    "mpl_toolkits": "matplotlib",
    "markupsafe": "Jinja2",
    "pydantic_core": "pydantic",
}
# What a module imports inside a function that no rule of the environment calls, or only where it is installed.
UNUSED = {
    "torch": {
        "brainiak": "the reference is checked in its own environment; another implementation is skipped if missing",
        "cka": "another implementation, skipped if missing",
        "robustness": "another implementation, skipped if missing",
        "simtorch": "another implementation, skipped if missing",
        "matplotlib": "simtorch's way to draw, for users of simtorch",
        "seaborn": "simtorch's way to draw, for users of simtorch",
        "psutil": "the machine's memory, unknown without it",
    },
    "tensorflow": {
        "filelock": "data are fetched in the PyTorch environment",
        "requests": "data are fetched in the PyTorch environment",
        "urllib3": "data are fetched in the PyTorch environment",
    },
    "brainiak": {
        "torch": "threads are limited, and data read, only where PyTorch is installed",
        "PIL": "data are read elsewhere",
        "filelock": "data are fetched in the PyTorch environment",
        "requests": "data are fetched in the PyTorch environment",
        "urllib3": "data are fetched in the PyTorch environment",
    },
    "report": {
        "torch": "threads are limited, and networks built, only where PyTorch is installed",
        "safetensors": "networks",
        "sklearn": "the digits",
        "filelock": "data are fetched in the PyTorch environment",
        "requests": "data are fetched in the PyTorch environment",
        "urllib3": "data are fetched in the PyTorch environment",
    },
}


def pins(path: Path) -> dict[str, str]:
    [of_pip] = [entry["pip"] for entry in yaml.safe_load(path.read_text())["dependencies"] if isinstance(entry, dict)]
    return dict(requirement.split(";")[0].strip().split("==") for requirement in of_pip)


def constraints(repository: Path) -> dict[str, str]:
    lines = (repository / CONSTRAINTS).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def scripts_of_rules(repository: Path) -> dict[str, set[Path]]:
    """Environment -> the scripts of its rules; the one that draws figures stands for the scripts of all of them."""
    found: dict[str, set[Path]] = {}
    for file in sorted((repository / "rules").glob("*.smk")):
        for body in _RULE.split(file.read_text())[1:]:
            environment = re.search(r"conda:\s+\"\.\./envs/(\w+)\.yaml\"", body)
            script = re.search(r"script:\s+\"\.\./workflow/scripts/([^\"]+)\"", body)
            if environment and script:
                pattern = "plot_*.py" if script[1] == "plot_figures.py" else script[1]
                found.setdefault(environment[1], set()).update((repository / "workflow/scripts").glob(pattern))
    return found


@functools.cache
def imports(path: Path, inside_functions: bool) -> set[tuple[str, str]]:
    """Modules imported, each with the name taken from it or ``""``."""
    found = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.update((alias.name, "") for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: a relative import"
                found.update((child.module or "", alias.name) for alias in child.names)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                # for a package's lazily loaded names this block says where they come from
                if inside_functions and path.name == "__init__.py":
                    visit(child)
            elif inside_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                visit(child)

    visit(ast.parse(path.read_text()))
    return found


def module_file(library: Path, module: str) -> Path | None:
    place = library.joinpath(*module.split("."))
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


def modules_named(module: str, name: str) -> list[str]:
    """A module with its packages, which are imported first, and the submodule that a name may be."""
    parts = module.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))] + ([f"{module}.{name}"] if name else [])


def third_party(scripts: Iterable[Path], library: Path, inside_functions: bool) -> dict[str, str]:
    """Packages that scripts import, also through netalike -> the way to the first import found."""
    found: dict[str, str] = {}
    seen: set[Path] = set()
    roots = set(scripts)
    open_files = [(script, script.name) for script in sorted(roots)]
    while open_files:
        file, way = open_files.pop()
        if file in seen:
            continue
        seen.add(file)
        for module, name in sorted(imports(file, inside_functions or file in roots)):
            top = module.split(".")[0]
            if top == "netalike":
                files = [(module_file(library, each), each) for each in modules_named(module, name)]
                open_files += [(each, f"{way} > {named}") for each, named in files if each and each not in seen]
            elif top not in sys.stdlib_module_names:
                found.setdefault(top, way)
    return found


def missing(repository: Path, environment: str, inside_functions: bool) -> list[str]:
    held = {name.lower() for name in pins(repository / f"envs/{environment}.yaml")}
    found = third_party(scripts_of_rules(repository)[environment], repository / "workflow", inside_functions)
    allowed = UNUSED[environment] if inside_functions else {}
    return [
        f"{environment}.yaml lacks {module}: {way}"
        for module, way in found.items()
        if DISTRIBUTION.get(module, module).lower() not in held and module not in allowed
    ]


def test_every_script_belongs_to_an_environment(repository):
    of_rules = scripts_of_rules(repository)
    assert set(of_rules) == set(ENVIRONMENTS)
    assert set.union(*of_rules.values()) == set((repository / "workflow/scripts").glob("*.py"))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_environment_is_for_conda_forge_alone_and_says_why_each_package_is_there(repository, environment):
    path = repository / f"envs/{environment}.yaml"
    content = yaml.safe_load(path.read_text())
    assert content["name"] == f"netalike-{environment}"
    assert content["channels"] == ["conda-forge", "nodefaults"]
    assert content["dependencies"][:2] == ["python=3.11", "pip"]
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if "==" in line and not line.lstrip().startswith("#"):
            above = [lines[place].lstrip() for place in (number - 1, number - 2)]
            assert " # " in line or any(text.startswith("# ") for text in above), line


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_pins_are_those_of_the_constraints_file(repository, environment):
    known = constraints(repository)
    known["tensorflow"] = known["tensorflow_cpu"]  # the same release, built with CUDA or for other processors
    pinned = pins(repository / f"envs/{environment}.yaml")
    assert len(pinned) >= 10
    assert {name: known.get(name) for name in pinned} == pinned


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_environment_holds_what_its_scripts_import_when_they_start(repository, environment):
    assert missing(repository, environment, inside_functions=False) == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_environment_holds_what_its_scripts_may_import_later(repository, environment):
    assert missing(repository, environment, inside_functions=True) == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_is_called_unused_that_is_not_imported(repository, environment):
    scripts = scripts_of_rules(repository)[environment]
    imported = third_party(scripts, repository / "workflow", inside_functions=True)
    assert set(UNUSED[environment]) - set(imported) == set()


def test_a_missing_package_is_found_through_the_library(repository, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from netalike.scripting import log_to\nwith log_to('x'):\n    from netalike.plots import theme\n"
    )
    found = third_party([script], repository / "workflow", inside_functions=False)
    assert found["seaborn"].startswith("script.py > netalike.plots")
    assert "torch" not in found
    assert "torch" in third_party([script], repository / "workflow", inside_functions=True)

"""config.yaml, the reference page and the schema are in step with the models, and work."""

import re

import jsonschema
import pytest

from netalike.configuration import load, parse, read
from netalike.configuration.generate import config_text, files, main
from netalike.configuration.loading import REPOSITORY
from netalike.configuration.models import Configuration
from netalike.configuration.reading import PRESETS
from netalike.configuration.schema import file_schema, full_schema

SECTIONS = ["data", "networks", "panels", "input_similarity", "deconfounded_cka", "stitching", "page", "resources"]


def uncommented(text, section=None):
    """Take "# " away from every setting, or from the settings of one section."""
    lines, inside = [], section is None
    for line in text.splitlines():
        if section is not None and (heading := re.match(r"# (\w+):", line)):
            inside = heading[1] == section
        lines.append(line[2:] if inside and line.startswith("# ") and "yaml-language-server" not in line else line)
    return parse("\n".join(lines))


def test_the_files_are_in_step(capsys):
    assert main([]) == 0, capsys.readouterr().out


def test_a_file_out_of_step_is_shown_and_written(tmp_path, capsys):
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/presets").symlink_to(REPOSITORY / "workflow/presets")
    (tmp_path / "config.yaml").write_text("preset: quick\n")
    assert main(["--root", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert "+++ config.yaml (from the models)" in shown
    assert "+# seed: 0" in shown
    assert main(["--root", str(tmp_path), "--fix"]) == 0
    assert (tmp_path / "config.yaml").read_text() == config_text()
    assert main(["--root", str(tmp_path)]) == 0


def test_settings_of_the_user_are_not_overwritten(tmp_path, capsys):
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/presets").symlink_to(REPOSITORY / "workflow/presets")
    (tmp_path / "config.yaml").write_text("preset: standard\n")
    assert main(["--root", str(tmp_path), "--fix"]) == 1
    assert "left config.yaml as it is" in capsys.readouterr().out
    assert (tmp_path / "config.yaml").read_text() == "preset: standard\n"


def test_config_yaml_says_the_preset_alone():
    assert read(REPOSITORY / "config.yaml") == {"preset": "quick"}


def test_everything_in_config_yaml_loads_when_uncommented():
    values = uncommented(config_text())
    assert list(values) == list(Configuration.model_fields)
    configuration = load(values)
    assert configuration.networks["my-tiny10"].training.epochs == 12
    assert configuration.panels["mine"].layers_of("tiny10-digits") == ("relu*",)
    assert configuration.data.folders["leaves"].path == "my-images"
    assert [kind for kind, name in configuration.deconfounded_cka.studies() if name == "mine"] == [
        "tasks",
        "transfers",
        "populations",
        "demonstrations",
    ]
    assert configuration.deconfounded_cka.transfers["mine"].discriminator.seeds == (0, 1, 2)
    assert [kind for kind, name in configuration.stitching.studies() if name == "mine"] == ["layers", "sweeps"]
    kinds = ["toys", "similarity_terms", "map_alignments"]
    assert [kind for kind, name in configuration.input_similarity.studies() if name == "mine"] == kinds
    assert configuration.input_similarity.toys["mine"].frequencies == (1, 4)
    assert configuration.stitching.sweeps["mine"].ranks == (1, 4, 16)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_of_config_yaml_loads_when_uncommented_alone(section):
    values = uncommented(config_text(), section)
    assert set(values) == {"preset", section}
    load(values)


@pytest.mark.parametrize("section", ["seed", "page", "resources"])
def test_what_is_commented_out_is_the_default(section):
    values = uncommented(config_text())
    assert load({section: values[section]}) == load({})


def test_every_key_has_a_description_everywhere():
    page, config = files()[REPOSITORY / "docs/configuration.md"], config_text()
    schema = full_schema()
    nodes = {name: node for name, node in schema["properties"].items() if name in ("preset", "seed")}
    for definition in schema["$defs"].values():
        nodes |= definition["properties"]
    for key, node in nodes.items():
        assert node["description"].strip(), key
        assert f"`{key}`" in page
        assert re.search(rf"^(## +|# +|){key}:", config, re.MULTILINE), key


def test_every_yaml_block_of_the_page_loads():
    page = files()[REPOSITORY / "docs/configuration.md"]
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 18
    for block in blocks:
        load(parse(block))


def test_the_example_without_the_preset_leaves_nothing_of_it():
    page = files()[REPOSITORY / "docs/configuration.md"]
    block = next(block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "my-own:" in block)
    configuration = load(parse(block))
    assert list(configuration.networks) == ["my-own"]
    assert list(configuration.panels) == ["mine"]
    assert configuration.studies() == {}


def test_the_defaults_of_nested_keys_are_shown_once():
    page = files()[REPOSITORY / "docs/configuration.md"]
    assert "| `discriminator` | a mapping, see below | see below |" in page
    table = page.split("### deconfounded_cka.transfers.NAME.discriminator.training")[1].split("###")[0]
    assert "| `epochs` | a whole number of at least 1 | `5` |" in table
    assert "| `augment` | true or false | `false` |" in table


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(file_schema())
    assert file_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("preset", PRESETS)
def test_the_schema_accepts_each_preset_and_what_it_loads_to(preset):
    validator = jsonschema.Draft202012Validator(file_schema())
    validator.validate(read(REPOSITORY / f"workflow/presets/{preset}.yaml"))
    validator.validate(load({"preset": preset}).as_dict())


@pytest.mark.parametrize(
    "user",
    [
        {},
        {"preset": "quick"},
        {"networks": {"lenet-digits": None, "tiny10-digits": {"seeds": 5}}, "panels": None},
        {"panels": {"digits": {"layers": {"a": ["b"]}, "seeds": "0-3"}}},
        {"deconfounded_cka": {"tasks": {"digits": None}, "transfers": {"a": {"discriminator": {"seeds": 2}}}}},
        {"deconfounded_cka": {"populations": {"a": {"corruptions": ["fog"], "severities": [5]}}}},
        {"stitching": {"layers": {"tiny10-digits": {"methods": ["identity"], "training": {"epochs": 1}}}}},
    ],
)
def test_the_schema_accepts_what_loads(user):
    jsonschema.Draft202012Validator(file_schema()).validate(user)


@pytest.mark.parametrize(
    "user",
    [
        {"presets": "quick"},
        {"panels": {"digits": {"batch_size": 3}}},
        {"networks": {"a--b": {}}},
        {"networks": {"a": {"training": {"epoch": 3}}}},
        {"panels": {"digits": {"measures": ["pca"]}}},
        {"networks": {"a": {"seeds": "many"}}},
        {"networks": {"a": {"task": "rotations"}}},
        {"deconfounded_cka": {"populations": {"a": {"corruptions": ["smog"]}}}},
        {"deconfounded_cka": {"populations": {"a": {"severities": [6]}}}},
        {"deconfounded_cka": {"demonstrations": {"a": {"networks": ["b"]}}}},
        {"deconfounded_cka": {"transfers": {"a": {"discriminator": {"epochs": 2}}}}},
        {"stitching": {"layers": {"a": {"methods": ["ps_inv"]}}}},
        {"stitching": {"sweeps": {"a": {"ranks": [0]}}}},
        {"stitching": {"sweeps": {"a": {"training": {"target": "soft"}}}}},
    ],
)
def test_the_schema_refuses_what_does_not_load(user):
    assert not jsonschema.Draft202012Validator(file_schema()).is_valid(user)

"""A run that is small enough to be committed: its tables whole, its figures smaller."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from netalike.errors import BadFileError, NetalikeError
from netalike.evidence.reference import TABLES, write_reference

FIGURE = Path("figures/inversion/inversion_digits/a.png")


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    (folder / "tables").mkdir(parents=True)
    for name in TABLES:
        pd.DataFrame({"value": np.arange(100)}).to_parquet(folder / "tables" / f"{name}.parquet")
    claims = pd.DataFrame({"paper": ["a", "a", "b"], "verdict": ["reproduced", "contradicted", "reproduced"]})
    claims.to_parquet(folder / "tables" / "claims.parquet")
    cost = pd.DataFrame({"cpu_time": [60.0, 240.0], "max_rss": [500.0, 1600.0]})
    cost.to_parquet(folder / "tables" / "cost.parquet")
    (folder / "tables" / "configuration.json").write_text(json.dumps({"preset": "quick"}))
    (folder / FIGURE).parent.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / FIGURE)
    return folder


def test_tables_are_whole_and_figures_are_there(results, tmp_path):
    made = write_reference(results, tmp_path / "reference")
    for name in TABLES:
        table = f"tables/{name}.parquet"
        pd.testing.assert_frame_equal(pd.read_parquet(made / table), pd.read_parquet(results / table))
    assert json.loads((made / "tables/configuration.json").read_text()) == {"preset": "quick"}
    with Image.open(made / FIGURE) as picture:
        assert picture.size == (300, 200)
        assert len(picture.getcolors()) <= 128
    text = (made / "README.md").read_text()
    assert "2 jobs with 5 minutes of one core" in text
    assert "at most 1.6 GB" in text
    assert "| a | 1 | 1 |" in text
    assert "| all | 1 | 2 |" in text
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".reference")] == []


def test_an_older_reference_is_replaced_as_a_whole(results, tmp_path):
    (tmp_path / "reference" / "figures").mkdir(parents=True)
    (tmp_path / "reference" / "figures" / "gone.png").write_text("")
    made = write_reference(results, tmp_path / "reference")
    assert not (made / "figures" / "gone.png").exists()


def test_figures_are_made_smaller_where_they_are_too_many(results, tmp_path):
    whole = (write_reference(results, tmp_path / "a") / FIGURE).stat().st_size
    tables = sum(path.stat().st_size for path in (tmp_path / "a" / "tables").iterdir())
    limit = (tables + 1500 + whole / 2) / 1e6
    made = write_reference(results, tmp_path / "b", limit)
    assert sum(path.stat().st_size for path in made.rglob("*") if path.is_file()) <= limit * 1e6
    with Image.open(made / FIGURE) as picture:
        assert picture.width in (225, 180)


def test_figures_may_be_left_out_by_pattern(results, tmp_path):
    (results / "figures" / "inversion" / "layers_b.png").write_bytes((results / FIGURE).read_bytes())
    made = write_reference(results, tmp_path / "reference", leave_out=["*/layers_*"])
    assert [path.name for path in made.rglob("*.png")] == ["a.png"]
    assert "Not kept: `*/layers_*`." in (made / "README.md").read_text()
    with pytest.raises(NetalikeError, match=r"no figure is called \*/layer_\*: there are inversion/inversion_digits/a"):
        write_reference(results, tmp_path / "reference", leave_out=["*/layer_*"])


def test_too_many_figures_are_refused_and_the_older_reference_stays(results, tmp_path):
    kept = write_reference(results, tmp_path / "reference")
    with pytest.raises(NetalikeError, match=r"1 figures take .* even with 32 colours .* raise --limit-mb"):
        write_reference(results, kept, 0.0201)
    assert (kept / FIGURE).is_file()


@pytest.mark.parametrize("gone", ["tables/pairs.parquet", "tables/configuration.json", str(FIGURE)])
def test_an_unfinished_run_is_refused_with_what_it_lacks(results, tmp_path, gone):
    (results / gone).unlink()
    lacking = "figures" if gone == str(FIGURE) else gone
    with pytest.raises(BadFileError, match=f"{lacking} is missing: .* Run `snakemake` first"):
        write_reference(results, tmp_path / "reference")

"""What a measure costs: time per network and per pair, memory, a CSV that is read again."""

import csv
import time

import numpy as np
import pytest

from netalike.evidence.metering import COLUMNS, Meter


def test_seconds_and_counts_add_up():
    meter = Meter("gradients")
    for _ in range(2):
        with meter.networks("kernel_cka/unbiased", 3):
            time.sleep(0.01)
    with meter.pairs("kernel_cka/unbiased", 5):
        pass
    (row,) = meter.rows()
    assert tuple(row) == COLUMNS
    assert (row["family"], row["networks"], row["pairs"]) == ("gradients", 6, 5)
    assert 0.02 <= row["seconds_networks"] < 1
    assert row["seconds_pairs"] < 0.01


def test_measures_computed_together_share_their_time_and_not_their_memory():
    meter = Meter("behaviour")
    with meter.pairs("a/b+c/d", 4):
        time.sleep(0.02)
    one, other = meter.rows()
    assert (one["measure"], other["measure"]) == ("a/b", "c/d")
    assert one["seconds_pairs"] == other["seconds_pairs"] >= 0.01
    assert one["pairs"] == other["pairs"] == 4
    assert one["peak_mb"] == other["peak_mb"]


def test_memory_is_beyond_what_was_held_before():
    held = np.ones(10_000_000)  # 80 MB
    meter = Meter("x")
    with meter.pairs("little/x", 1):
        pass
    with meter.pairs("much/x", 1):
        more = np.ones(5_000_000)  # 40 MB
    little, much = (row["peak_mb"] for row in meter.rows())
    if much == 0:
        pytest.skip("this system does not say how much memory a process has")
    assert held.sum() + more.sum() == 15_000_000
    assert 39 < much < 60
    assert little < 10


def test_what_is_written_is_read_and_added_to(tmp_path):
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for file in files:
        meter = Meter("inversion")
        with meter.networks("stir/cka", 2):
            time.sleep(0.01)
        meter.write(file)
    with files[0].open() as file:
        assert next(csv.reader(file)) == list(COLUMNS)
    meter = Meter.read("inversion", files)
    with meter.pairs("stir/cka", 6):
        pass
    (row,) = meter.rows()
    assert (row["networks"], row["pairs"]) == (4, 6)
    assert row["seconds_networks"] >= 0.02

"""What is said of a run: before, at its end, and where it fails."""

import pytest

from netalike import watching


def benchmark(folder, job: str, *seconds: float) -> str:
    path = folder / "results/cost" / f"{job}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("s\th:m:s\tmax_rss\n" + "".join(f"{s}\t0\t10\n" for s in seconds))
    return str(path)


def test_a_forecast_takes_a_jobs_own_time_then_the_mean_of_its_rule(tmp_path):
    a = benchmark(tmp_path, "paper/fit/a", 10)
    benchmark(tmp_path, "paper/fit/b", 30)
    new = str(tmp_path / "results/cost/paper/fit/new.tsv")
    never = str(tmp_path / "results/cost/paper/other/x.tsv")
    cost = tmp_path / "results/cost"
    jobs = [(a, 1), (new, 2), (never, 1), (None, 1)]
    # 10 s on one thread and the mean of 20 s on two: 50 thread seconds
    assert watching.forecast(jobs, 1, cost) == watching.Forecast(4, 2, 30.0)
    assert watching.forecast(jobs, 2, cost) == watching.Forecast(4, 2, 25.0)
    # never less than the longest job
    assert watching.forecast(jobs, 50, cost).seconds == 20.0


def test_a_benchmark_that_was_not_taken_is_unknown(tmp_path):
    path = benchmark(tmp_path, "paper/fit/a")
    (tmp_path / "results/cost/paper/fit/b.tsv").write_text("s\tmax_rss\n-\t-\n")
    cost = tmp_path / "results/cost"
    assert watching.forecast([(path, 1), (str(cost / "paper/fit/b.tsv"), 1)], 2, cost) == watching.Forecast(2, 0, 0)


def test_the_first_line_says_how_many_jobs_and_how_long():
    assert watching.begin(watching.Forecast(12, 0, 0), 2).startswith(
        "12 jobs on 2 cores; how long they take is not known"
    )
    line = watching.begin(watching.Forecast(12, 9, 480), 2)
    assert line == "12 jobs on 2 cores: about 8 min, as earlier runs took, and 3 jobs that never ran here."


@pytest.mark.parametrize(("seconds", "words"), [(7.6, "8 s"), (89, "89 s"), (480, "8 min"), (12000, "3 h 20 min")])
def test_durations_are_written_as_they_are_said(seconds, words):
    assert watching.duration(seconds) == words


def test_the_summary_counts_what_was_made_and_names_the_slowest(tmp_path):
    results = tmp_path / "results"
    (results / "tables").mkdir(parents=True)
    (results / "tables/claims.csv").write_text("id,verdict\na,reproduced\nb,not run\nc,reproduced\n")
    (results / "index.html").touch()
    made = ["results/networks/a.safetensors", "results/networks/a.json", "results/figures/p/q/x.svg"]
    made += ["results/comparison/p/measures-0.parquet", "results/tables/claims.csv", "results/tables/claims.parquet"]
    costs = [benchmark(tmp_path, "paper/fit/a", 60), benchmark(tmp_path, "paper/fit/b", 60)]
    costs += [benchmark(tmp_path, "other/short", 2).replace("other/", "other/")]
    text = watching.summary(made, costs[:2], 600, results)
    assert text.splitlines()[:3] == [
        "Made in 10 min:  1 networks, 1 figures, 1 files of measurements, 1 tables",
        "Claims:    2 reproduced, 1 not run",
        "Slowest:   paper/fit 2 min in 2 jobs",
    ]
    assert f"The page:  {results / 'index.html'}" in text
    assert "Figures:" not in text  # none is there


def test_verdicts_of_an_earlier_run_are_not_told(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/claims.csv").write_text("id,verdict\na,reproduced\n")
    assert "Claims" not in watching.summary(["results/figures/p/q/x.svg"], [], 1, tmp_path)


LOG = """
Error in rule import_own:
    message: Importing the networks own
    jobid: 3
    output: results/networks/own-s0.safetensors
    log: {log} (check log file(s) for error details)

Error in rule import_own:
    jobid: 3
    log: {log} (check log file(s) for error details)

Error in rule all:
    jobid: 0
"""


def test_a_failure_is_told_with_the_end_of_its_log_once(tmp_path):
    log = tmp_path / "import.log"
    log.write_text("".join(f"line {k}\n\n" for k in range(10)))
    main = tmp_path / "snakemake.log"
    main.write_text(LOG.format(log=log))
    assert watching.failures(main) == [("import_own", str(log)), ("all", None)]
    text = watching.failed(main)
    assert text.startswith("The run stopped: 2 jobs failed.")
    assert f"import_own, in {log}:\n    line 4\n" in text
    assert text.count("line 9") == 1
    assert "line 3" not in text
    assert "all (it has no log)" in text
    assert text.endswith("the same command goes on from here.")


def test_a_log_that_was_not_written_says_so(tmp_path):
    main = tmp_path / "snakemake.log"
    main.write_text(LOG.format(log="gone.log"))
    assert "the job ended before its script began" in watching.failed(main)
    assert watching.failed(tmp_path / "no such log").startswith("The run stopped.\n")

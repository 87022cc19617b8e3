# One table of all numbers, and one page that opens from disk.


rule collect_measurements:
    input:
        measurements=all_measurements,
    output:
        parquet="results/tables/measurements.parquet",
        csv=report(
            "results/tables/measurements.csv",
            caption="../workflow/report/measurements.rst",
            category="Tables",
            labels={"table": "all measurements"},
        ),
    log:
        "logs/report/collect_measurements.log",
    benchmark:
        "results/cost/report/collect_measurements/all.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    message:
        "Collecting all measurements into one table"
    script:
        "../workflow/scripts/collect_measurements.py"


# What each paper claims, against the table: one verdict per claim.
rule judge_claims:
    input:
        measurements=rules.collect_measurements.output.parquet,
        claims=CLAIMS,
    output:
        parquet="results/tables/claims.parquet",
        csv=report(
            "results/tables/claims.csv",
            caption="../workflow/report/claims.rst",
            category="Tables",
            labels={"table": "claims and verdicts"},
        ),
        configuration="results/tables/configuration.json",
    log:
        "logs/report/judge_claims.log",
    benchmark:
        "results/cost/report/judge_claims/all.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        configuration=lambda wildcards: settings.as_dict(),
        experiments=lambda wildcards: experiments(),
    message:
        "Judging the claims of the papers"
    script:
        "../workflow/scripts/judge_claims.py"


rule build_page:
    input:
        measurements=rules.collect_measurements.output.parquet,
        claims=rules.judge_claims.output.parquet,
        pairs=rules.collect_pairs.output,
        cards=lambda wildcards: [figure.replace(".svg", ".json") for figure in all_figures()],
        measure_costs=[timing for panel in settings.panels for timing in panel_timings(panel)],
        animations=animations(),
        networks=[card(network) for network in used_networks()],
        data=[f"results/data/{dataset}.json" for dataset in used_datasets()],
    output:
        page="results/index.html",
        papers=directory("results/papers"),
        sources="results/sources.html",
        cost_parquet="results/tables/cost.parquet",
        cost_csv="results/tables/cost.csv",
    log:
        "logs/report/build_page.log",
    benchmark:
        "results/cost/report/build_page/all.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        configuration=lambda wildcards: settings.as_dict(),
    message:
        "Building the page results/index.html"
    script:
        "../workflow/scripts/build_page.py"


# Small, and they read many small files: not worth a place in a cluster's queue.
localrules:
    tabulate_networks,
    collect_measurements,
    judge_claims,
    build_page,

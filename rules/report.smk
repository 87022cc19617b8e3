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
        "results/cost/report/collect_measurements.tsv"
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


rule build_page:
    input:
        measurements=rules.collect_measurements.output.parquet,
        cards=lambda wildcards: [
            figure.replace(".svg", ".json")
            for paper in ("deconfounded_cka", "comparison")
            for figure in paper_figures(paper)
        ],
        networks=[weights(network).replace(".safetensors", ".json") for network in used_networks()],
        data=[f"results/data/{dataset}.json" for dataset in used_datasets()],
    output:
        page="results/index.html",
        cost_parquet="results/tables/cost.parquet",
        cost_csv="results/tables/cost.csv",
    log:
        "logs/report/build_page.log",
    benchmark:
        "results/cost/report/build_page.tsv"
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
    build_page,

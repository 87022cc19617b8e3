# Measures of every kind on the same recorded activations, and the checks that all measures must pass.


rule record_panel:
    input:
        networks=panel_weights,
        data=panel_dataset,
        keras=panel_keras,
        files=lambda wildcards: list(settings.panels[wildcards.panel].recordings.values()),
    output:
        recordings=temp(directory("results/comparison/{panel}/activations")),
        outputs="results/comparison/{panel}/outputs.safetensors",
    log:
        "logs/comparison/{panel}/record.log",
    benchmark:
        "results/cost/comparison/record_panel/{panel}.tsv"
    priority: SOON
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        panel=panel_params(),
    message:
        "Recording the layers of all networks ({wildcards.panel})"
    script:
        "../workflow/scripts/record_panel.py"


rule measure_panel:
    input:
        recordings=rules.record_panel.output.recordings,
    output:
        measurements="results/comparison/{panel}/measures-{chunk}.parquet",
        timing="results/comparison/{panel}/measures-{chunk}.timing.csv",
    log:
        "logs/comparison/{panel}/measures-{chunk}.log",
    benchmark:
        "results/cost/comparison/measure_panel/{panel}-{chunk}.tsv"
    priority: SOON
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        panel=panel_params(),
    message:
        "Measures on recorded activations, part {wildcards.chunk} ({wildcards.panel})"
    script:
        "../workflow/scripts/measure_panel.py"


rule align_panel:
    input:
        recordings=rules.record_panel.output.recordings,
    output:
        measurements="results/comparison/{panel}/alignment-{chunk}.parquet",
        timing="results/comparison/{panel}/alignment-{chunk}.timing.csv",
    log:
        "logs/comparison/{panel}/alignment-{chunk}.log",
    benchmark:
        "results/cost/comparison/align_panel/{panel}-{chunk}.tsv"
    priority: SOON
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        panel=panel_params("alignment"),
    message:
        "Shared responses of pairs of networks, part {wildcards.chunk} ({wildcards.panel})"
    script:
        "../workflow/scripts/align_panel.py"


rule compare_behaviour:
    input:
        outputs=rules.record_panel.output.outputs,
    output:
        measurements="results/comparison/{panel}/behaviour.parquet",
        timing="results/comparison/{panel}/behaviour.timing.csv",
    log:
        "logs/comparison/{panel}/behaviour.log",
    benchmark:
        "results/cost/comparison/compare_behaviour/{panel}.tsv"
    priority: SOON
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        panel=panel_params(),
        facts=panel_facts,
    message:
        "What the networks predict ({wildcards.panel})"
    script:
        "../workflow/scripts/compare_behaviour.py"


# A kernel per network, and then all pairs, which cost nothing beside it: one job.
rule compare_gradients:
    input:
        networks=panel_weights,
        data=panel_dataset,
    output:
        measurements="results/comparison/{panel}/gradients.parquet",
        timing="results/comparison/{panel}/gradients.timing.csv",
    log:
        "logs/comparison/{panel}/gradients.log",
    benchmark:
        "results/cost/comparison/compare_gradients/{panel}.tsv"
    priority: SOON
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        panel=panel_params("gradients"),
    message:
        "Input similarity by gradients, of all networks ({wildcards.panel})"
    script:
        "../workflow/scripts/compare_gradients.py"


rule stitch_panel:
    input:
        networks=panel_weights,
        data=panel_dataset,
    output:
        measurements="results/comparison/{panel}/stitching-{chunk}.parquet",
        timing="results/comparison/{panel}/stitching-{chunk}.timing.csv",
    log:
        "logs/comparison/{panel}/stitching-{chunk}.log",
    benchmark:
        "results/cost/comparison/stitch_panel/{panel}-{chunk}.tsv"
    priority: SOON
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=3000,
        runtime=240,
    params:
        panel=panel_params("stitching"),
        facts=panel_facts,
    message:
        "Stitching pairs of networks, part {wildcards.chunk} ({wildcards.panel})"
    script:
        "../workflow/scripts/stitch_panel.py"


rule invert_panel:
    input:
        networks=panel_weights,
        data=panel_dataset,
    output:
        images="results/comparison/{panel}/inverted-{chunk}.safetensors",
        timing="results/comparison/{panel}/inverted-{chunk}.timing.csv",
    log:
        "logs/comparison/{panel}/inverted-{chunk}.log",
    benchmark:
        "results/cost/comparison/invert_panel/{panel}-{chunk}.tsv"
    priority: SOON
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=3000,
        runtime=240,
    params:
        panel=panel_params("inversion"),
        networks=lambda wildcards: list(inversion_chunks(wildcards.panel)[wildcards.chunk]),
        # not an output: what was inverted before a job was killed is there for the next run
        checkpoints="results/networks/checkpoints/panel_{panel}",
    message:
        "Inverting images through networks, part {wildcards.chunk} ({wildcards.panel})"
    script:
        "../workflow/scripts/invert_panel.py"


rule compare_inverted_panel:
    input:
        networks=panel_weights,
        data=panel_dataset,
        images=lambda wildcards: [
            f"results/comparison/{wildcards.panel}/inverted-{chunk}.safetensors"
            for chunk in inversion_chunks(wildcards.panel)
        ],
        timings=lambda wildcards: [
            f"results/comparison/{wildcards.panel}/inverted-{chunk}.timing.csv"
            for chunk in inversion_chunks(wildcards.panel)
        ],
    output:
        measurements="results/comparison/{panel}/inversion.parquet",
        timing="results/comparison/{panel}/inversion.timing.csv",
    log:
        "logs/comparison/{panel}/inversion.log",
    benchmark:
        "results/cost/comparison/compare_inverted_panel/{panel}.tsv"
    priority: SOON
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        panel=panel_params("inversion"),
    message:
        "All networks on the images inverted through each ({wildcards.panel})"
    script:
        "../workflow/scripts/compare_inverted_panel.py"


# From here on no network runs: the pairs, and what each measure says about them, come from rows alone.
rule summarise_panel:
    input:
        measurements=lambda wildcards: panel_rows(wildcards.panel),
    output:
        measurements="results/comparison/{panel}/summary.parquet",
        pairs="results/comparison/{panel}/pairs.parquet",
    log:
        "logs/comparison/{panel}/summary.log",
    benchmark:
        "results/cost/comparison/summarise_panel/{panel}.tsv"
    priority: SOON
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        panel=panel_params(),
        facts=panel_facts,
    message:
        "What the measures agree on and tell apart ({wildcards.panel})"
    script:
        "../workflow/scripts/summarise_panel.py"


# Other implementations are compared where they are installed; a row says which are not.
rule check_implementations:
    input:
        recordings=rules.record_panel.output.recordings,
    output:
        measurements="results/comparison/{panel}/implementations.parquet",
    log:
        "logs/comparison/{panel}/implementations.log",
    benchmark:
        "results/cost/comparison/check_implementations/{panel}.tsv"
    priority: SOON
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        panel=panel_params(),
    message:
        "Our measures beside other implementations ({wildcards.panel})"
    script:
        "../workflow/scripts/check_implementations.py"


for panel, figures in drawn_panels(comparison_figures):

    rule:
        name:
            f"plot_panel_{panel}"
        input:
            summary=rules.summarise_panel.output.measurements,
            timings=lambda wildcards: panel_timings(wildcards.panel),
            cka=cka_rows,
            measures=lambda wildcards: panel_measures(wildcards),
        output:
            **figure_files("results/figures/comparison/{panel}", figures),
            **{
                figure: report(
                    f"results/figures/comparison/{{panel}}/{figure}.svg",
                    caption=f"../workflow/report/{figure}.rst",
                    category="Comparison",
                    subcategory="{panel}",
                    labels={"figure": known["words"]},
                )
                for figure, known in figures.items()
            },
        log:
            "logs/comparison/{panel}/plot_figures.log",
        wildcard_constraints:
            panel=re.escape(panel),
        conda:
            "../envs/report.yaml"
        threads: 1
        resources:
            mem_mb=by_attempt(1500),
            runtime=by_attempt(20),
        params:
            panel=panel_params(),
            figures=figures,
        message:
            f"{count_of(figures, 'figure')} of the comparison ({{wildcards.panel}})"
        script:
            "../workflow/scripts/plot_figures.py"


rule plot_claims_summary:
    input:
        claims="results/tables/claims.parquet",
    output:
        **figure_files("results/figures/comparison", ["claims_summary"]),
        figure=report(
            "results/figures/comparison/claims_summary.svg",
            caption="../workflow/report/claims_summary.rst",
            category="Comparison",
            labels={"figure": "the claims of all papers"},
        ),
    log:
        "logs/comparison/plot_claims_summary.log",
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "The claims of all papers, ours against the papers' values"
    script:
        "../workflow/scripts/plot_claims_summary.py"


# One table of all pairs of all panels under all measures.
rule collect_pairs:
    input:
        pairs=[f"results/comparison/{panel}/pairs.parquet" for panel in settings.panels],
    output:
        parquet="results/tables/pairs.parquet",
        csv=report(
            "results/tables/pairs.csv",
            caption="../workflow/report/pairs.rst",
            category="Tables",
            labels={"table": "all pairs under all measures"},
        ),
    log:
        "logs/comparison/collect_pairs.log",
    benchmark:
        "results/cost/comparison/collect_pairs/all.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Collecting all pairs of networks into one table"
    script:
        "../workflow/scripts/collect_pairs.py"

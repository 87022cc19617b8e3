# Source: Cui et al. 2022 (and Kornblith et al. 2019). One job compares all layers of all networks of a panel: each network
# runs once, each Gram matrix is computed once, and one product serves all pairs and estimators.


rule compare_panel:
    input:
        networks=panel_weights,
        data=panel_dataset,
    output:
        measurements="results/deconfounded_cka/{panel}/cka.parquet",
        timing="results/deconfounded_cka/{panel}/cka.timing.csv",
    log:
        "logs/deconfounded_cka/{panel}.log",
    benchmark:
        "results/cost/deconfounded_cka/compare_panel/{panel}.tsv"
    priority: SOON
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_compare
    resources:
        mem_mb=by_attempt(int(1000 * settings.resources.memory_gb) + 1000),
        runtime=60,
    params:
        panel=panel_params(),
    message:
        "CKA of all pairs of layers and networks ({wildcards.panel})"
    script:
        "../workflow/scripts/compare_panel.py"


for panel, figures in drawn_panels(cka_figures):

    rule:
        name:
            f"plot_cka_{panel}"
        input:
            measurements=rules.compare_panel.output.measurements,
        output:
            **figure_files("results/figures/deconfounded_cka/{panel}", figures),
            **{
                figure: report(
                    f"results/figures/deconfounded_cka/{{panel}}/{figure}.svg",
                    caption=f"../workflow/report/{known['script']}.rst",
                    category="Deconfounded CKA",
                    subcategory="{panel}",
                    labels={"figure": known["words"], "estimator": known["estimator"]},
                )
                for figure, known in figures.items()
            },
        log:
            "logs/deconfounded_cka/{panel}/plot_figures.log",
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
            f"{count_of(figures, 'figure')} of CKA, layer by layer ({{wildcards.panel}})"
        script:
            "../workflow/scripts/plot_figures.py"


# Random and trained networks, same and other tasks (R2 to R4 of the paper's claims): one pass per network.
rule compare_tasks:
    input:
        networks=study_weights("tasks"),
        data=study_dataset("tasks"),
    output:
        measurements="results/deconfounded_cka/tasks_{study}/measurements.parquet",
    log:
        "logs/deconfounded_cka/tasks_{study}/compare.log",
    benchmark:
        "results/cost/deconfounded_cka/compare_tasks/{study}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        study=study_params("tasks"),
    message:
        "Same task, other task and random networks by depth ({wildcards.study})"
    script:
        "../workflow/scripts/compare_tasks.py"


# What holds exactly, on recorded activations of a trained network (R1).
rule check_identities:
    input:
        networks=lambda wildcards: study_weights("identities")(wildcards)[:1],
        data=study_dataset("identities"),
    output:
        measurements="results/deconfounded_cka/identities_{study}/measurements.parquet",
    log:
        "logs/deconfounded_cka/identities_{study}/check.log",
    benchmark:
        "results/cost/deconfounded_cka/check_identities/{study}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        study=study_params("identities"),
    message:
        "Identities and invariances of deconfounded CKA ({wildcards.study})"
    script:
        "../workflow/scripts/check_identities.py"


# Networks fine-tuned on a ladder of shifted domains (R5); how alike the domains are is a measurement of its own.
rule transfer_networks:
    input:
        networks=lambda wildcards: [weights(network) for network in portion_of("transfer")(wildcards)],
        data=study_dataset("transfer"),
    output:
        measurements="results/deconfounded_cka/transfer_{study}/networks-{chunk}.parquet",
    log:
        "logs/deconfounded_cka/transfer_{study}/networks-{chunk}.log",
    benchmark:
        "results/cost/deconfounded_cka/transfer_networks/{study}-{chunk}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=3000,
        runtime=240,
    params:
        study=study_params("transfer"),
        # not an output: what was fine-tuned before a job was killed is there for the next run
        checkpoints="results/networks/checkpoints/transfer_{study}",
    message:
        "Fine-tuning on shifted domains, part {wildcards.chunk} ({wildcards.study})"
    script:
        "../workflow/scripts/transfer_networks.py"


rule discriminate_domains:
    input:
        data=study_dataset("transfer"),
    output:
        measurements="results/deconfounded_cka/transfer_{study}/domains.parquet",
    log:
        "logs/deconfounded_cka/transfer_{study}/domains.log",
    benchmark:
        "results/cost/deconfounded_cka/discriminate_domains/{study}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        study=study_params("transfer"),
        checkpoints="results/networks/checkpoints/domains_{study}",
    message:
        "How alike the shifted domains are: a trained discriminator ({wildcards.study})"
    script:
        "../workflow/scripts/discriminate_domains.py"


# A population of networks under corruptions (R6).
rule evaluate_population:
    input:
        networks=study_weights("ood"),
        data=study_dataset("ood"),
    output:
        measurements="results/deconfounded_cka/ood_{study}/accuracies.parquet",
    log:
        "logs/deconfounded_cka/ood_{study}/evaluate.log",
    benchmark:
        "results/cost/deconfounded_cka/evaluate_population/{study}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        study=study_params("ood"),
    message:
        "Accuracy of all networks on corrupted images ({wildcards.study})"
    script:
        "../workflow/scripts/evaluate_population.py"


rule compare_population:
    input:
        networks=study_weights("ood"),
        accuracies=rules.evaluate_population.output.measurements,
        data=study_dataset("ood"),
    output:
        measurements="results/deconfounded_cka/ood_{study}/similarities.parquet",
    log:
        "logs/deconfounded_cka/ood_{study}/compare.log",
    benchmark:
        "results/cost/deconfounded_cka/compare_population/{study}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        study=study_params("ood"),
    message:
        "Similarity to the best network under each corruption ({wildcards.study})"
    script:
        "../workflow/scripts/compare_population.py"


# The demonstration in the README of the authors' library, with and without its division bug (R7).
rule demonstrate:
    input:
        networks=study_weights("demonstration"),
        data=study_dataset("demonstration"),
    output:
        measurements="results/deconfounded_cka/demonstration_{study}/measurements.parquet",
    log:
        "logs/deconfounded_cka/demonstration_{study}/demonstrate.log",
    benchmark:
        "results/cost/deconfounded_cka/demonstrate/{study}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: settings.resources.threads_per_job
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        study=study_params("demonstration"),
    message:
        "The demonstration of simtorch, with and without its division bug ({wildcards.study})"
    script:
        "../workflow/scripts/demonstrate.py"

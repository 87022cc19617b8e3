# A network is results/networks/NAME.safetensors, with what is known about it in NAME.json.


rule train_network:
    input:
        data=dataset_of,
    output:
        weights="results/networks/{network}.safetensors",
        card="results/networks/{network}.json",
    log:
        "logs/networks/train_{network}.log",
    benchmark:
        "results/cost/networks/train_{network}.tsv"
    wildcard_constraints:
        network=alternatives(settings.networks_to_train()),
    conda:
        "../envs/torch.yaml"
    threads: lambda wildcards: settings.threads_of(wildcards.network)
    resources:
        mem_mb=2000,
        runtime=lambda wildcards: 30 + 2 * settings.settings_of(wildcards.network).training.epochs,
    params:
        family=lambda wildcards: settings.settings_of(wildcards.network).model_dump(
            mode="json", exclude={"seeds", "threads"}
        ),
        seed=lambda wildcards: settings.seed + settings.seed_of(wildcards.network),
        # not an output, so that Snakemake leaves it when a job is killed: the next run goes on from it
        checkpoint=lambda wildcards: f"results/networks/checkpoints/{wildcards.network}.safetensors",
    message:
        "Training {wildcards.network}"
    script:
        "../workflow/scripts/train_network.py"


# One rule per family that comes from elsewhere: one job fetches, checks and converts all its networks.
for family, networks in imported_networks().items():

    rule:
        name:
            f"import_{family}"
        input:
            data=f"results/data/{settings.networks[family].dataset}.json",
        output:
            weights=[weights(network) for network in networks],
            cards=[weights(network).replace(".safetensors", ".json") for network in networks],
        log:
            f"logs/networks/import_{family}.log",
        benchmark:
            f"results/cost/networks/import_{family}.tsv"
        conda:
            "../envs/torch.yaml"
        threads: settings.resources.threads_per_job
        resources:
            mem_mb=2000,
            runtime=60,
        params:
            family=settings.networks[family].model_dump(mode="json", exclude={"threads"}),
            files=[settings.weights_of(network) for network in networks],
            seeds=list(settings.networks[family].seeds),
        message:
            f"Importing the networks {family}"
        script:
            "../workflow/scripts/import_networks.py"


rule tabulate_networks:
    input:
        cards=[weights(network).replace(".safetensors", ".json") for network in used_networks()],
    output:
        measurements="results/comparison/networks.parquet",
    log:
        "logs/networks/tabulate.log",
    benchmark:
        "results/cost/networks/tabulate.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    message:
        "Collecting the accuracy of the networks"
    script:
        "../workflow/scripts/tabulate_networks.py"

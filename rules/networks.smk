# A network is results/networks/NAME.safetensors, with what is known about it in NAME.json.
from netalike.networks.robust_names import is_robust_name

# One rule per job: it trains `networks_per_job` networks of a family, since a job costs its start.
for family, part, networks in training_jobs():

    rule:
        name:
            f"train_{family}_{part}"
        input:
            data=f"results/data/{settings.networks[family].dataset}.json",
        output:
            weights=[weights(network) for network in networks],
            cards=[card(network) for network in networks],
        log:
            f"logs/networks/train_{family}_{part}.log",
        benchmark:
            f"results/cost/networks/train/{family}-{part}.tsv"
        priority: FIRST
        conda:
            "../envs/torch.yaml"
        threads: settings.threads_of(networks[0])
        resources:
            mem_mb=by_attempt(2000),
            runtime=by_attempt(30 + 2 * settings.networks[family].learning.epochs * len(networks)),
        params:
            family=settings.networks[family].model_dump(mode="json", exclude={"seeds", "threads", "networks_per_job"}),
            seeds=[settings.seed + settings.seed_of(network) for network in networks],
            # not outputs, so that Snakemake leaves them when a job is killed: the next run goes on from them
            checkpoints=[f"results/networks/checkpoints/{network}.safetensors" for network in networks],
        message:
            f"Training {', '.join(networks)}"
        script:
            "../workflow/scripts/train_networks.py"


# One rule per family that comes from elsewhere: one job fetches, checks and converts all its networks.
for family, networks in imported_networks().items():
    if family in robust_families():
        continue

    rule:
        name:
            f"import_{family}"
        input:
            data=f"results/data/{settings.networks[family].dataset}.json",
        output:
            weights=[weights(network) for network in networks],
            cards=[card(network) for network in networks],
        log:
            f"logs/networks/import_{family}.log",
        benchmark:
            f"results/cost/networks/import/{family}.tsv"
        conda:
            "../envs/torch.yaml"
        threads: settings.resources.threads_per_job
        resources:
            mem_mb=by_attempt(2000),
            runtime=by_attempt(60),
        params:
            family=settings.networks[family].model_dump(mode="json", exclude={"threads", "networks_per_job"}),
            files=[settings.weights_of(network) for network in networks],
            seeds=list(settings.networks[family].seeds),
        message:
            f"Importing the networks {family}"
        script:
            "../workflow/scripts/import_networks.py"


# A published robust network, of ImageNet for the most part: accuracy is that on some images of each class.
for family in robust_families():

    rule:
        name:
            f"import_{family}"
        input:
            data=f"results/data/{settings.networks[family].dataset}.json",
        output:
            weights=[weights(network) for network in imported_networks()[family]],
            cards=[card(network) for network in imported_networks()[family]],
        log:
            f"logs/networks/import_{family}.log",
        benchmark:
            f"results/cost/networks/import/{family}.tsv"
        conda:
            "../envs/torch.yaml"
        threads: settings.resources.threads_per_job
        resources:
            mem_mb=by_attempt(8000),
            runtime=by_attempt(240),
        params:
            family=settings.networks[family].model_dump(mode="json", exclude={"threads", "networks_per_job"}),
            n_images=5000,
        message:
            f"Importing the robust network {family}"
        script:
            "../workflow/scripts/import_robust.py"


rule tabulate_networks:
    input:
        cards=[card(network) for network in used_networks()],
    output:
        measurements="results/comparison/networks.parquet",
    log:
        "logs/networks/tabulate.log",
    benchmark:
        "results/cost/networks/tabulate_networks/all.tsv"
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

# Data sets are kept in data.root, in their publishers' layouts; the marker of a data set holds its sizes and its hash, so
# that networks are trained again only if the data change.


rule fetch_dataset:
    input:
        [],
    output:
        done="results/data/{dataset}.json",
    log:
        "logs/data/fetch_{dataset}.log",
    benchmark:
        "results/cost/data/fetch_dataset/{dataset}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    message:
        "Fetching and checking the data set {wildcards.dataset}"
    script:
        "../workflow/scripts/fetch_dataset.py"


# The aerial images are no data set of classes: their marker holds the number of tiles and buildings.
rule fetch_aerial:
    input:
        [],
    output:
        done="results/data/aerial.json",
    log:
        "logs/data/fetch_aerial.log",
    benchmark:
        "results/cost/data/fetch_aerial/aerial.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    message:
        "Fetching and checking the aerial images"
    script:
        "../workflow/scripts/fetch_aerial.py"


ruleorder: fetch_aerial > fetch_dataset


# Downloads need the network, which the nodes of a cluster may not have.
localrules:
    fetch_dataset,
    fetch_aerial,

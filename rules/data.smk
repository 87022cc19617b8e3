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


# ImageNet is put below data.root by hand, and too large to be read as a whole: its marker holds a hash of its files'
# names and sizes.
rule find_imagenet:
    input:
        [],
    output:
        done="results/data/imagenet.json",
    log:
        "logs/data/find_imagenet.log",
    benchmark:
        "results/cost/data/find_imagenet/imagenet.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    message:
        "Looking for ImageNet below data.root"
    script:
        "../workflow/scripts/find_imagenet.py"


ruleorder: fetch_aerial > fetch_dataset
ruleorder: find_imagenet > fetch_dataset


# Downloads need the network, which the nodes of a cluster may not have.
localrules:
    fetch_dataset,
    fetch_aerial,
    find_imagenet,

"""Put all measurement files into one table."""

from netalike.evidence import measurements
from netalike.scripting import log_to

with log_to(snakemake.log[0]):
    table = measurements.write(measurements.read(snakemake.input.measurements), snakemake.output.parquet)
    measurements.write_csv(table, snakemake.output.csv)

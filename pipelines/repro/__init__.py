"""`python -m pipelines.repro`: what `make repro` runs."""

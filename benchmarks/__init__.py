"""Benchmarks: how fast the pipeline is, each figure a ratio to a named peer on the same clips in the same run.

`python -m benchmarks` runs them all, `python -m benchmarks.bench_NAME --help` one of them. `harness` has timing and rows,
`clips` the audio, `peers` what other tools do with it, `tables` the terminal's and the docs' tables. bench_flink.py needs
a cluster and is run by hand.
"""

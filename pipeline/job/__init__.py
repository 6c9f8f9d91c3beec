"""The features job: plans the shards that are due, runs them on a Beam runner, closes the store, and estimates what a job takes.

How Beam runs a pipeline is in `pipeline.runners`, how a shard is laid out and written in `pipeline.store`.
"""

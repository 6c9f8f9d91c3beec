"""Apache Beam: the options of each runner, checks before a job starts, the run itself, and what local workers and Flink need.

Nothing here knows of audio, features or the store: a caller passes a function that builds the pipeline.
"""

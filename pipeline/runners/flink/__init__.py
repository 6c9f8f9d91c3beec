"""Apache Flink as the features job meets it: the REST interface, checks before a job, and Beam's runner, mended."""

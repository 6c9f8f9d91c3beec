"""Apache Flink: its REST interface, the checks of a cluster before a job, and Beam's FlinkRunner adapted to Flink 2.

The runner in Java and the local test cluster are in `deploy/flink`.
"""

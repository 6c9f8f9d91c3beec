"""Apache Flink: its REST interface, the checks of a cluster before a job, and Beam's FlinkRunner adapted to Flink 2.

The local test cluster, and a stand-in for Beam's runner that only tests use, are in `deploy/flink`.
"""

"""Beam's official Flink runner: the flags that it needs, and its jar, which Beam downloads unless one is named."""

from typing import Final

from apache_beam.options import pipeline_options as beam_options
from apache_beam.runners.portability.job_server import JavaJarJobServer
from apache_beam.version import __version__ as beam_version

from pipeline.errors import RunnerError

PROFILE: Final = ("--max_bundle_size=1", "--number_of_execution_retries=5", "--execution_retry_delay=2000")
"""What the official runner needs: it makes bundles of 5,000 elements, and one lost worker fails a job, unless told otherwise."""


def job_server_jar(options: beam_options.PipelineOptions) -> str:
    """Path of the job server jar on this machine. Beam downloads it into its cache unless it is there.

    Raises:
        RunnerError: It cannot be fetched; says where it can be put instead.
    """
    flink = options.view_as(beam_options.FlinkRunnerOptions)
    address = flink.flink_job_server_jar or JavaJarJobServer.path_to_beam_jar(
        f":runners:flink:{flink.flink_version}:job-server:shadowJar"
    )
    try:
        return str(JavaJarJobServer.local_jar(address))
    except Exception as error:  # Beam raises what its file systems and urllib raise, and RuntimeErrors
        name = f"beam-runners-flink-{flink.flink_version}-job-server-{beam_version}.jar"
        raise RunnerError(
            f"{error}\nThis is Beam's official Flink runner, {name}: download it where that is possible, and copy it to that "
            "place, or name it with --flink_job_server_jar=PATH. Without a cluster, --on local uses the cores of this machine"
        ) from error

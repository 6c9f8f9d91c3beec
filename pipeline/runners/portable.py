"""Beam's portable runners whose job server ends with the run.

Beam ends a job server that it started (Prism, Spark's) at the end of the process, when the run's temporary folder is gone.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners import create_runner
from apache_beam.runners.portability.portable_runner import PortableRunner


@contextlib.contextmanager
def portable_runner(name: str) -> Iterator[Any]:
    """Gives the runner of a name; the job servers that it starts end with the block.

    Args:
        name: As `--runner` takes it.
    """
    runner = create_runner(name)
    servers = []
    if isinstance(runner, PortableRunner):
        make = runner.default_job_server

        def kept(options: PipelineOptions) -> Any:
            servers.append(make(options))
            return servers[-1]

        runner.default_job_server = kept
    try:
        yield runner
    finally:
        for server in servers:
            server.stop()

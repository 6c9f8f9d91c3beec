"""Beam's local runner with worker processes that end with this one."""

import os
import shlex
import sys
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

WORKER_MODULE = "pipeline.runners.local_worker"


class LocalRunner(FnApiRunner):  # type: ignore[misc]
    """`FnApiRunner` that starts its worker processes by `pipeline.runners.local_worker`, without a shell that stays."""

    def run_via_runner_api(self, pipeline_proto: beam_runner_api_pb2.Pipeline, options: PipelineOptions) -> Any:
        command = f"exec {shlex.join([sys.executable, '-c', _worker_code(), WORKER_MODULE, str(os.getpid())])}"
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.SUBPROCESS_SDK:
                environment.payload = command.encode()
        return super().run_via_runner_api(pipeline_proto, options)


def _worker_code() -> str:
    """What a worker process runs. It imports from where this process does, whichever folder it is started in."""
    return f"import sys; sys.path[:] = {sys.path!r}; from pipeline.runners import local_worker; local_worker.main()"

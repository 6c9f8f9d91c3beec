"""Checks of the workers' environment that the options of a portable runner name."""

import socket

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from pipeline.errors import RunnerError

_TIMEOUT_S = 5.0


def check_environment(options: PipelineOptions, runner_is_here: bool) -> None:
    """Checks that the work is done by workers of their own, and that a worker pool on this machine listens.

    Args:
        options: Of the pipeline.
        runner_is_here: The runner starts workers from this machine. For a runner elsewhere, `localhost` is each of its own
            machines, which cannot be reached from here.

    Raises:
        RunnerError: There is no environment type, or it means this process; the pool's address is none, or nothing listens.
    """
    portable = options.view_as(PortableOptions)
    if portable.environment_type is None:
        raise RunnerError(
            "no --environment_type: Beam would start Docker containers, or do all the work in this one process. Give "
            "--environment_type=EXTERNAL and --environment_config=HOST:PORT of the worker pools, or --environment_type=DOCKER "
            "if containers are meant"
        )
    if portable.environment_type == "LOOPBACK":
        raise RunnerError(
            "--environment_type=LOOPBACK does all the work in this one process; give --environment_type=EXTERNAL, "
            "or use --on local"
        )
    if portable.environment_type == "EXTERNAL":
        _check_pool(portable.environment_config, runner_is_here)


def is_here(host: str) -> bool:
    """Whether a host of an address is this machine's loopback interface."""
    return host in ("localhost", "127.0.0.1", "[::1]")


def workers_did_not_start(seconds: float) -> RunnerError:
    """The error of a preflight that its time limit ended."""
    return RunnerError(
        f"the workers did not start within {seconds:.0f} s; see the logs of the worker pools and of the runner. "
        "A pool listens even if each of its workers ends as it starts"
    )


def _check_pool(address: str | None, runner_is_here: bool) -> None:
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdigit():
        raise RunnerError(
            f"--environment_type=EXTERNAL needs --environment_config=HOST:PORT of a worker pool, not {address!r}"
        )
    if not (runner_is_here and is_here(host)):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_TIMEOUT_S).close()
    except OSError as error:
        raise RunnerError(
            f"no worker pool listens at {address} ({error.strerror or error}); start one: "
            "python deploy/flink/worker_pool.py --port=PORT"
        ) from error

"""A Beam worker pool on one address: starts a Python process for every worker that a cluster asks for.

Beam's own `apache_beam.runners.worker.worker_pool_main` listens on all interfaces, and whoever reaches it can run code. This pool
listens on the address in its options, by default 127.0.0.1, and its workers use the Python interpreter of the pool.
"""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer, kill_process_gracefully
from apache_beam.utils import thread_pool_executor


def main() -> None:
    """Serves until SIGTERM or SIGINT, then ends the workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    arguments = parser.parse_args()

    # Beam starts the first `python` on the PATH.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())

    servicer = BeamFnExternalWorkerPoolServicer(use_process=True)
    server = grpc.server(thread_pool_executor.shared_unbounded_instance())
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(servicer, server)
    server.add_insecure_port(f"{arguments.host}:{arguments.port}")
    server.start()
    ended.wait()
    server.stop(0)
    for process in servicer._worker_processes.values():
        kill_process_gracefully(process, timeout=2)


if __name__ == "__main__":
    main()

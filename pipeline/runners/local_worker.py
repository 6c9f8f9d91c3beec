"""The main function of a worker process of a local run: Beam's worker, in a process that ends with its command."""

import signal
import sys

from pipeline.runners.parent_watchdog import end_with


def main() -> None:
    """Runs Beam's worker. The last argument is the process id of the command."""
    end_with(int(sys.argv[-1]))
    # A terminal sends Ctrl-C to all processes; the command ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main([])

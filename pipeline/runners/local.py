"""What a run on this machine needs beside Beam: its workers are watched, get their options, and log to a file."""

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.runners.worker_watchdog import watch_workers
from pipeline.text import print_everything

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions


@contextlib.contextmanager
def local_run(options: "PipelineOptions", in_flight: Callable[[], list[str]], folder: Path) -> Iterator[None]:
    """Surrounds the run of a pipeline on Beam's local runner. Must be entered in the main thread; one at a time.

    Args:
        options: Of the pipeline.
        in_flight: As for `watch_workers`.
        folder: For temporary files.

    Raises:
        RunnerError: A worker died.
        KeyboardInterrupt: Ctrl-C; all workers have ended.
    """
    with watch_workers(in_flight), _worker_options(options, folder), _worker_log(folder):
        yield


@contextlib.contextmanager
def _worker_options(options: "PipelineOptions", folder: Path) -> Iterator[None]:
    """Passes the options to the worker processes, which Beam's local runner does not: log level, file system options."""
    path = folder / "options.json"
    path.write_text(json.dumps(options.get_all_options(drop_default=True), default=str), encoding="utf-8")
    os.environ["PIPELINE_OPTIONS_FILE"] = str(path)
    try:
        yield
    finally:
        del os.environ["PIPELINE_OPTIONS_FILE"]


@contextlib.contextmanager
def _worker_log(folder: Path) -> Iterator[None]:
    """Sends what local workers print to a file, so that it does not break the progress bar.

    After a failed run the file is kept outside `folder` and its path is printed: it may hold what no error says, such as the last
    message of a native library.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    path = folder / "workers.log"
    own_stream = sys.stderr
    try:
        # Workers inherit descriptor 2; this process prints to the terminal through the copy.
        encoding = getattr(own_stream, "encoding", None)
        with path.open("wb") as log, open(terminal, "w", buffering=1, closefd=False, encoding=encoding) as sys.stderr:
            print_everything(sys.stderr)
            os.dup2(log.fileno(), 2)
            yield
    except KeyboardInterrupt:
        raise
    except BaseException:
        handle, kept = tempfile.mkstemp(prefix="bonafide-workers-", suffix=".log", dir=folder.parent)
        os.close(handle)
        shutil.move(path, kept)
        os.write(terminal, f"what the workers printed is in {kept}\n".encode())
        raise
    finally:
        sys.stderr = own_stream
        os.dup2(terminal, 2)
        os.close(terminal)

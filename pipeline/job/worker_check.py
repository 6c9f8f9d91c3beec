"""A small job ahead of the real one on a cluster: what its workers lack is found in seconds, not in the middle of the night.

Every worker writes a token beside the store, and the command that started the job reads it back. So a store that the workers
write elsewhere, audio that they do not see, a package that they lack and libraries of another version are told before any work.
"""

import json
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.internal.cloudpickle import cloudpickle

from pipeline.errors import RunnerError
from pipeline.job.worklist import work_folder
from pipeline.storage import Storage
from pipeline.store.lineage import installed_versions

# The code below goes to the workers itself, not its name: those that lack this package can still say so. Flink would wait three
# minutes for a worker that cannot read its job.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class _WriteToken(beam.DoFn):  # type: ignore[misc]
    """Processes a number: writes what this worker is and sees under that name. Imports of the package stay in `process`."""

    def __init__(self, url: str, root: str, kind: str) -> None:
        self._url = url
        self._root = root
        self._kind = kind

    def process(self, number: int) -> Iterator[int]:
        host = socket.gethostname()
        try:
            import pipeline.job.run  # noqa: F401 - all that the job needs
            from pipeline.errors import RunnerError, StoreError
            from pipeline.storage import Storage
            from pipeline.store.lineage import installed_versions
        except ImportError as error:
            raise ImportError(f"{error} (worker on {host})") from error
        seen = {
            "host": host,
            "audio": Path(self._root).is_dir(),
            "versions": installed_versions(self._kind),
        }
        try:
            Storage.open(self._url).write(f"probe/{number}.json", json.dumps(seen).encode())
        except StoreError as error:
            raise RunnerError(f"storage not writable from the workers: {error} (worker on {host})") from error
        yield number


def probe_workers(
    try_out: Callable[[Callable[[beam.Pipeline], None]], None], workers: int, root: Path, output: str, kind: str
) -> None:
    """Runs the probe and judges what comes back.

    Args:
        try_out: Runs a pipeline that it gets the building function of.
        workers: How many tokens are written, in parallel.
        root: Folder of the audio, absolute.
        output: The store's address, absolute; tokens are written to its work folder, which is removed with the list of
            utterances.
        kind: Of front end.

    Raises:
        RunnerError: A package is missing on the workers or has another version, the storage is not shared or not writable,
            or the audio is not visible.
    """
    storage = work_folder(output)
    write = _WriteToken(storage.url, str(root), kind)
    try_out(lambda p: p | beam.Create(range(workers), reshuffle=False) | beam.Reshuffle() | beam.ParDo(write))
    _judge(storage, workers, root, output, kind)


def _judge(storage: Storage, workers: int, root: Path, output: str, kind: str) -> None:
    found: Sequence[str] = storage.list("probe/")
    if len(found) < workers:
        raise RunnerError(
            f"storage not shared: the workers wrote {workers} tokens beside {output}, {len(found)} of them are seen from here. "
            "Mount the same folder under the same path on every machine, or give s3://bucket/prefix"
        )
    versions: dict[str, Any] = installed_versions(kind)
    for name in found:
        seen = json.loads(storage.read(name))
        if not seen["audio"]:
            raise RunnerError(
                f"the worker on {seen['host']} does not see the audio in {root}; mount that folder there too, "
                "under the same path"
            )
        other = sorted(key for key in versions if seen["versions"].get(key) != versions[key])
        if other:
            told = ", ".join(f"{key} {seen['versions'].get(key)} instead of {versions[key]}" for key in other)
            raise RunnerError(
                f"the worker on {seen['host']} has other versions than this command: {told}; the store would have other bytes. "
                "Install the same wheel and lock file there"
            )

"""The preflight of the workers of a cluster: a small job before the real one finds in seconds what the workers lack.

Every worker writes a token beside the store, and the command reads the tokens back. This finds a store that the workers write
elsewhere, audio that they do not see, a package that they lack, and libraries of another version.
"""

import json
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.internal.cloudpickle import cloudpickle

from pipeline.errors import RunnerError
from pipeline.job.versions import require_versions
from pipeline.job.worklist import work_folder
from pipeline.runners.options import preflight_tasks
from pipeline.runners.run import run_preflight
from pipeline.storage import Storage
from pipeline.store.lineage import installed_versions

# Workers get the code of this module by value, not by name: a worker without this package can then still report that. Flink would
# wait three minutes for a worker that cannot unpickle its job.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

_FOLDER = "preflight"


class _WriteToken(beam.DoFn):  # type: ignore[misc]
    """Processes a number: writes a token of that name, which says what the worker is and sees.

    Imports this package only inside `process`, where a failed import can be reported.
    """

    def __init__(self, url: str, root: str, kind: str, libraries: tuple[str, ...]) -> None:
        self._url = url
        self._root = root
        self._kind = kind
        self._libraries = libraries

    def process(self, number: int) -> Iterator[int]:
        host = socket.gethostname()
        try:
            import pipeline.job.worker  # noqa: F401 - all that a worker imports
            from pipeline.corpus.audio_files import open_audio_files
            from pipeline.errors import RunnerError, StoreError
            from pipeline.storage import open_storage
            from pipeline.store.lineage import installed_versions
        except ImportError as error:
            raise ImportError(f"{error} (worker on {host})") from error
        try:
            audio = open_audio_files(self._root).is_reachable()
        except StoreError as error:
            raise RunnerError(f"audio not readable from the workers: {error} (worker on {host})") from error
        token = {"host": host, "audio": audio, "versions": installed_versions(self._kind, self._libraries)}
        try:
            open_storage(self._url).write(f"{_FOLDER}/{number}.json", json.dumps(token).encode())
        except StoreError as error:
            raise RunnerError(f"storage not writable from the workers: {error} (worker on {host})") from error
        yield number


def check_workers(flags: Sequence[str], root: str, output: str, kind: str, libraries: tuple[str, ...] = ()) -> None:
    """Runs the preflight on a cluster, one token per task. Does nothing for a runner that has none (`preflight_tasks`).

    Args:
        flags: Beam flags, as `pipeline.runners.options.prepare` gives them.
        root: Absolute path of the folder of the audio, or its address in an object store.
        output: The store's address, absolute. Tokens are written to its work folder, which is removed with the worklist.
        kind: Of front end.
        libraries: Optional packages that the augmentation needs.

    Raises:
        RunnerError: A package is missing on the workers or has another version, the storage is not shared or not writable,
            or the audio is not visible.
    """
    n_tokens = preflight_tasks(flags)
    if not n_tokens:
        return
    storage = work_folder(output)
    write = _WriteToken(storage.url, root, kind, libraries)
    run_preflight(
        lambda p: p | beam.Create(range(n_tokens), reshuffle=False) | beam.Reshuffle() | beam.ParDo(write), flags
    )
    _check_tokens(storage, n_tokens, root, output, installed_versions(kind, libraries))


def _check_tokens(storage: Storage, n_tokens: int, root: str, output: str, versions: dict[str, Any]) -> None:
    found: Sequence[str] = storage.list(f"{_FOLDER}/")
    if len(found) < n_tokens:
        raise RunnerError(
            f"storage not shared: the workers wrote {n_tokens} tokens beside {output}, {len(found)} of them are seen from here. "
            "Mount the same folder under the same path on every machine, or give s3://bucket/prefix"
        )
    for name in found:
        token = json.loads(storage.read(name))
        if not token["audio"]:
            raise RunnerError(
                f"the worker on {token['host']} does not see the audio in {root}; mount that folder there too, "
                "under the same path"
            )
        require_versions(token["versions"], versions, token["host"])

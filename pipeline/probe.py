"""A small job ahead of the real one on a cluster: what its workers lack is found in seconds, not in the middle of the night.

Every worker writes a token beside the store, and the command that started the job reads it back. So a store that the workers
write elsewhere, audio that they do not see, and libraries of another version are told apart before any work.
"""

import contextlib
import json
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from pipeline.errors import RunnerError, StoreError
from pipeline.params import Params
from pipeline.storage import LocalStorage, Storage
from pipeline.store.writer import Config


class _WriteToken(beam.DoFn):  # type: ignore[misc]
    """Processes a number: writes what this worker is and sees under that name."""

    def __init__(self, url: str, root: str, params: Params, token: str) -> None:
        self._url = url
        self._root = root
        self._params = params
        self._token = token

    def process(self, number: int) -> Iterator[int]:
        seen = {
            "token": self._token,
            "host": socket.gethostname(),
            "audio": Path(self._root).is_dir(),
            "versions": Config.current(self._params.features, self._params.augment).versions,
        }
        try:
            Storage.open(self._url).write(f"{number}.json", json.dumps(seen).encode())
        except StoreError as error:
            raise RunnerError(
                f"storage not writable from the workers: {error} (worker on {socket.gethostname()})"
            ) from error
        yield number


def probe_workers(
    run: Callable[[Callable[[beam.Pipeline], None]], None], workers: int, root: Path, output: str, params: Params
) -> None:
    """Runs the probe and judges what comes back.

    Args:
        run: Runs a pipeline that it gets the building function of.
        workers: How many tokens are written, in parallel.
        root: Folder of the audio, absolute.
        output: The store's address, absolute; tokens are written beside it and removed.
        params: All parameters.

    Raises:
        RunnerError: The storage is not shared or not writable, the audio is not visible, or the versions differ.
    """
    token = secrets.token_hex(8)
    storage = Storage.open(f"{output}.probe-{token}")
    write = _WriteToken(storage.url, str(root), params, token)
    try:
        run(lambda p: p | beam.Create(range(workers), reshuffle=False) | beam.Reshuffle() | beam.ParDo(write))
        _judge(storage, workers, root, output, Config.current(params.features, params.augment).versions)
    finally:
        for name in storage.list():
            storage.delete(name)
        if isinstance(storage, LocalStorage):
            with contextlib.suppress(OSError):
                storage.root.rmdir()


def _judge(storage: Storage, workers: int, root: Path, output: str, versions: dict[str, Any]) -> None:
    found: Sequence[str] = storage.list()
    if len(found) < workers:
        raise RunnerError(
            f"storage not shared: the workers wrote {workers} tokens beside {output}, {len(found)} of them are seen from here. "
            "Mount the same folder under the same path on every machine, or give s3://bucket/prefix"
        )
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

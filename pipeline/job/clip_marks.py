"""Which clip each local worker has in hand: a killed worker cannot tell what it died of.

Every worker keeps a small file in the work folder beside the store, and the command reads these files after a worker died.
"""

import contextlib
import os
import secrets
from typing import Final

from pipeline.job.worklist import work_folder
from pipeline.storage import LocalStorage

_FOLDER: Final = "clips"


class ClipMark:
    """The file of one worker.

    Args:
        url: Of the store. Nothing is written for None or a store that is not on a local disk.
    """

    def __init__(self, url: str | None) -> None:
        self._file: int | None = None
        storage = work_folder(url) if url else None
        if isinstance(storage, LocalStorage):
            folder = storage.root / _FOLDER
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    def set(self, shard: str, utterance_id: str) -> None:
        """Notes the clip that is next. A write of its own for each clip, since a killed process flushes nothing."""
        if self._file is not None:
            text = f"{shard}\0{utterance_id}\n".encode()
            os.pwrite(self._file, text, 0)

    def clear(self) -> None:
        """Notes that no clip is in hand."""
        if self._file is not None:
            os.ftruncate(self._file, 0)

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)


def clips_in_flight(url: str) -> dict[str, str]:
    """The clip that a worker has or had in hand, by the name of its shard; none of a store that is not on a local disk."""
    found = {}
    storage = work_folder(url)
    if isinstance(storage, LocalStorage):
        for path in sorted((storage.root / _FOLDER).glob("*")):
            with contextlib.suppress(OSError):
                shard, _, rest = path.read_text(encoding="utf-8", errors="replace").partition("\0")
                if shard:
                    found[shard] = rest.partition("\n")[0]
    return found

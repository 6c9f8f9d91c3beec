"""The audio files of the clips of a manifest, found by utterance id without an object per clip."""

import pyarrow as pa
import pyarrow.compute as pc


class ClipFiles:
    """Path and checksum of each clip by utterance id, in little more memory than the manifest's own columns.

    Args:
        manifest: Table with the columns `utterance_id`, unique, `path` and `sha256`.
    """

    def __init__(self, manifest: pa.Table) -> None:
        # In their chunks: joined, they would be there twice.
        self._columns = [manifest[name] for name in ("utterance_id", "path", "sha256")]
        self._order = pc.sort_indices(self._columns[0]).cast(pa.uint32())

    def __len__(self) -> int:
        return len(self._order)

    def find(self, utterance_id: str) -> tuple[str, str | None] | None:
        """Path and SHA-256 (None where the manifest has none) of a clip, or None for an unknown id."""
        names, paths, checksums = self._columns
        wanted = utterance_id.encode()
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            # Arrow sorts by bytes, in which order Python's strings differ.
            if names[self._order[middle].as_py()].as_py().encode() < wanted:
                low = middle + 1
            else:
                high = middle
        if low == len(self):
            return None
        place = self._order[low].as_py()
        return (paths[place].as_py(), checksums[place].as_py()) if names[place].as_py() == utterance_id else None

"""A local folder in the bucket of a test server."""

from pathlib import Path

from pipeline.storage import open_storage


def upload(folder: Path, url: str) -> str:
    """Copies the files below a folder to an address, which it gives back."""
    storage = open_storage(url)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            storage.write(path.relative_to(folder).as_posix(), path.read_bytes())
    return url

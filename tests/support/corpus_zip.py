"""ZIP archives of corpora, for tests of download and unpacking."""

import io
import zipfile
from pathlib import Path

import numpy as np

PROTOCOL = "LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.train.trn.txt"


def zip_of(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


def noise(n_bytes: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(n_bytes)


def archive_at(folder: Path, content: bytes) -> Path:
    path = folder / "LA.zip"
    path.write_bytes(content)
    return path


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


ARCHIVE = zip_of(
    {PROTOCOL: b"LA_0001 LA_T_1 - - bonafide\n", "LA/ASVspoof2019_LA_train/flac/LA_T_1.flac": noise(3 << 20)}
)

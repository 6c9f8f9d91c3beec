#!/usr/bin/env python3
"""Download the Debian packages of `debian.lock`, check their checksums, and unpack them into one folder.

The folder is the `--root` of `build.py`. The packages of programs and voices are unpacked, too, but the builder calls the
installed ones: `apt-get install` them from the folder of archives.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
from pathlib import Path

LOCK = Path(__file__).parent / "debian.lock"


def read_lock() -> list[tuple[str, str]]:
    """(package=version, SHA-256 of the archive in hex) of every package."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return [(package, checksum) for package, checksum in rows]


def fetch(package: str, checksum: str, archives: Path) -> Path:
    """The archive of a package, downloaded if it is missing; SystemExit if it is another one than the lock says."""
    name = package.split("=")[0]
    if not list(archives.glob(f"{name}_*.deb")):
        subprocess.run(["apt-get", "download", package], cwd=archives, check=True)
    (archive,) = archives.glob(f"{name}_*.deb")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != checksum:
        raise SystemExit(f"{archive}: sha256 {found}, but {LOCK.name} has {checksum}; remove the file and try again")
    return archive


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python tools/sample_corpus/fetch.py build/archives build/root",
    )
    parser.add_argument("archives", type=Path, help="folder of the .deb files")
    parser.add_argument("root", type=Path, help="folder to unpack them in")
    args = parser.parse_args()
    for folder in (args.archives, args.root):
        folder.mkdir(parents=True, exist_ok=True)
    for package, checksum in read_lock():
        archive = fetch(package, checksum, args.archives)
        subprocess.run(["dpkg", "-x", str(archive), str(args.root)], check=True)
        print(archive.name)


if __name__ == "__main__":
    main()

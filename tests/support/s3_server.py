"""A real S3-compatible server for tests: built once from `tools/s3server`, started on a free loopback port.

It keeps every object as a plain file on disk. Building needs Go and, the first time, the Go modules that
`tools/s3server/go.sum` pins; where they cannot be had, `GoToolUnavailableError` says why. Run as a program it only builds:
`python -m tests.support.s3_server`.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.go_tools import GO_LOCATIONS, GoToolUnavailableError
from tests.support.imports import REPOSITORY
from tests.support.server_process import free_port, server_process

SOURCE = REPOSITORY / "tools" / "s3server"
CACHE = REPOSITORY / ".cache" / "s3"
REGION = "us-east-1"


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes:
        endpoint_url: Its address, `http://127.0.0.1:port`.
        access_key: Who to be.
        secret_key: And how to prove it.
        bucket: A bucket that exists.
        root_on_disk: The folder that holds the bucket's objects as files.
    """

    endpoint_url: str
    access_key: str
    secret_key: str
    bucket: str
    root_on_disk: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables that every S3 client reads; a process that has them talks to this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def build() -> Path:
    """Gives the server's binary, built on first use into the checkout's cache.

    Raises:
        GoToolUnavailableError: There is no Go, or its modules cannot be fetched.
    """
    digest = hashlib.sha256(b"".join((SOURCE / name).read_bytes() for name in ("go.mod", "go.sum", "main.go")))
    binary = CACHE / f"s3server-{digest.hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "build.lock").open("w") as lock:  # test processes may run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            _compile(binary)
    return binary


@contextlib.contextmanager
def run(folder: Path) -> Iterator[S3Server]:
    """Runs a server with its data below `folder`, and stops it in the end.

    Raises:
        GoToolUnavailableError: It cannot be built here.
    """
    binary = build()
    objects, attributes = folder / "objects", folder / "attributes"
    objects.mkdir(parents=True)
    attributes.mkdir()
    port = free_port()
    bucket = "features"
    server = S3Server(f"http://127.0.0.1:{port}", "tester", secrets.token_hex(16), bucket, objects / bucket)
    command = [binary, f"-address=127.0.0.1:{port}", f"-objects={objects}", f"-attributes={attributes}"]
    with server_process(
        *(command, folder / "server.log", lambda: urllib.request.urlopen(f"{server.endpoint_url}/healthz", timeout=5)),
        environment=os.environ | server.environment,
    ):
        _make_bucket(server)
        yield server


def _compile(binary: Path) -> None:
    go = shutil.which("go") or shutil.which("go", path=os.pathsep.join(GO_LOCATIONS))
    if go is None:
        raise GoToolUnavailableError("no Go toolchain to build the S3 server with")
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    try:
        subprocess.run(
            [go, "mod", "download"],
            cwd=SOURCE,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        )
    except subprocess.TimeoutExpired:
        raise GoToolUnavailableError("the Go modules of the S3 server did not arrive within 300 s") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise GoToolUnavailableError(f"the Go modules of the S3 server cannot be had: {reason}") from None
    partial = binary.with_suffix(".partial")
    subprocess.run([go, "build", "-ldflags=-s -w", "-o", partial, "."], cwd=SOURCE, env=environment, check=True)
    partial.replace(binary)


def _make_bucket(server: S3Server) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=REGION,
    )
    client.create_bucket(Bucket=server.bucket)


if __name__ == "__main__":
    print(build().relative_to(REPOSITORY))

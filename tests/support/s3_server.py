"""A real S3-compatible server for tests: built once from `tools/s3server`, started on a free loopback port.

It keeps every object as a plain file on disk. Building needs Go and, the first time, the Go modules that
`tools/s3server/go.sum` pins; where they cannot be had, `S3ServerUnavailableError` says why. Run as a script it only builds.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "tools" / "s3server"
CACHE = REPOSITORY / ".cache" / "s3"
GO_LOCATIONS = ("/usr/local/go/bin", "/usr/lib/go/bin")
REGION = "us-east-1"


class S3ServerUnavailableError(Exception):
    """The server cannot be built here; the message is the reason."""


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
        S3ServerUnavailableError: There is no Go, or its modules cannot be fetched.
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
        S3ServerUnavailableError: It cannot be built here.
    """
    binary = build()
    objects, attributes = folder / "objects", folder / "attributes"
    objects.mkdir(parents=True)
    attributes.mkdir()
    port = _free_port()
    bucket = "features"
    server = S3Server(f"http://127.0.0.1:{port}", "tester", secrets.token_hex(16), bucket, objects / bucket)
    command = [binary, f"-address=127.0.0.1:{port}", f"-objects={objects}", f"-attributes={attributes}"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | server.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            _wait_until_up(server, process, folder / "server.log")
            _make_bucket(server)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _compile(binary: Path) -> None:
    go = shutil.which("go") or shutil.which("go", path=os.pathsep.join(GO_LOCATIONS))
    if go is None:
        raise S3ServerUnavailableError("no Go toolchain to build the S3 server with")
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
        raise S3ServerUnavailableError("the Go modules of the S3 server did not arrive within 300 s") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise S3ServerUnavailableError(f"the Go modules of the S3 server cannot be had: {reason}") from None
    partial = binary.with_suffix(".partial")
    subprocess.run([go, "build", "-ldflags=-s -w", "-o", partial, "."], cwd=SOURCE, env=environment, check=True)
    partial.replace(binary)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_up(server: S3Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError),
            urllib.request.urlopen(f"{server.endpoint_url}/healthz", timeout=5),
        ):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the S3 server did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


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

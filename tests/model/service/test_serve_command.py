"""The command `bonafide serve` as a process: start, stop, and what it leaves behind."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.model.service.test_app import CLIP
from tests.support.trained_model import Trained

pytestmark = pytest.mark.slow
pytest.importorskip("fastapi", reason="needs the extra serve")


@pytest.fixture
def process(trained: Trained, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-m", "bonafide", "serve", "--model", str(trained.model), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(scratch)}
    started = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    yield started
    started.kill()
    started.wait()


def address(process: subprocess.Popen[str]) -> tuple[str, int]:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if found := re.search(r"http://([\d.]+):(\d+)/score", line):
            return found[1], int(found[2])
    raise AssertionError(seen)


def begin(host: str, port: int) -> http.client.HTTPConnection:
    """A request of which half of the body has been sent."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.putrequest("POST", "/score")
    connection.putheader("Content-Type", "audio/flac")
    connection.putheader("Content-Length", str(len(CLIP)))
    connection.endheaders(CLIP[: len(CLIP) // 2])
    return connection


def test_a_request_in_flight_is_answered_after_sigterm(process: subprocess.Popen[str], tmp_path: Path) -> None:
    host, port = address(process)
    assert host == "127.0.0.1"
    connections = [begin(host, port) for _ in range(3)]
    # Its answer shows that the service has accepted the others.
    check = http.client.HTTPConnection(host, port, timeout=60)
    check.request("GET", "/healthz")
    assert check.getresponse().read() == b'{"status": "ok"}\n'

    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(3)
    with pytest.raises(OSError):
        http.client.HTTPConnection(host, port, timeout=5).connect()
    for connection in connections:
        connection.send(CLIP[len(CLIP) // 2 :])
    answers = [connection.getresponse() for connection in connections]

    assert [answer.status for answer in answers] == [200] * 3
    assert all(json.loads(answer.read())["verdict"] for answer in answers)
    assert process.wait(30) == 0
    assert process.stdout is not None
    assert process.stdout.read() == ""
    assert list((tmp_path / "scratch").rglob("*")) == []


def test_a_request_leaves_no_open_file(process: subprocess.Popen[str]) -> None:
    host, port = address(process)
    server = psutil.Process(process.pid)

    def ask() -> int:
        connection = http.client.HTTPConnection(host, port, timeout=60)
        connection.request("POST", "/score", CLIP, {"Content-Type": "audio/flac"})
        status = connection.getresponse().status
        connection.close()
        return status

    assert ask() == 200
    before = {file.path for file in server.open_files()}
    assert [ask() for _ in range(10)] == [200] * 10
    assert {file.path for file in server.open_files()} <= before


def test_a_port_that_is_taken_is_told(process: subprocess.Popen[str], trained: Trained) -> None:
    _, port = address(process)
    command = [sys.executable, "-m", "bonafide", "serve", "--model", str(trained.model), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)

    assert done.returncode == 1
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr

"""Loads `bonafide serve` with many clients for a minute, against a plain loop that calls the model once per recording.

It starts the service on a free port of the loopback interface and sends it the clips of the sample corpus. Every answer is
compared with the score of the loop, so that a lost, failed or exchanged answer shows. The exit code is 1 if there was one.

    python tools/load_test.py --model data/model --clients 64 --seconds 60
"""

import argparse
import http.client
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

REPOSITORY: Final = Path(__file__).resolve().parent.parent
_TOLERANCE: Final = 1e-4


@dataclass
class Found:
    """What the clients found; threads append to it."""

    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    resident_mib: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def loop(model: Path, clips: Sequence[bytes], seconds: float) -> tuple[list[float], float]:
    """Scores clips one by one; gives the score of each, and how many it scored a second after the first pass."""
    from model.detector import Detector

    detector = Detector.load(model)
    scores = [float(detector.score(clip).score or 0.0) for clip in clips]
    count, began = 0, time.perf_counter()
    for clip in itertools.cycle(clips):
        detector.score(clip)
        count += 1
        if time.perf_counter() - began > seconds:
            break
    return scores, count / (time.perf_counter() - began)


@contextmanager
def service(model: Path, clients: int) -> Iterator[tuple[str, int, subprocess.Popen[str]]]:
    """The service in a process of its own: host, port and process. It ends with SIGTERM."""
    command = [sys.executable, "-m", "bonafide", "serve", "--model", model, "--port", "0", "--max-requests", clients]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True, env=environment, cwd=REPOSITORY)
    try:
        assert process.stdout is not None
        address = re.search(r"http://([\d.]+):(\d+)", process.stdout.readline())
        if address is None:
            raise SystemExit("the service did not start")
        yield address[1], int(address[2]), process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def client(
    number: int,
    host: str,
    port: int,
    clips: Sequence[bytes],
    scores: Sequence[float],
    until: float,
    most: int,
    found: Found,
) -> None:
    """Sends clips one after the other over one connection."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    for place in itertools.islice(itertools.cycle(range(len(clips))), number, number + most):
        if time.perf_counter() > until:
            break
        began = time.perf_counter()
        try:
            connection.request("POST", "/score", clips[place], {"Content-Type": "audio/flac"})
            answer = connection.getresponse()
            content = json.loads(answer.read())
            status = str(answer.status)
            if answer.status == 200 and abs(content["score"] - scores[place]) > _TOLERANCE:
                status = "another score"
        except (OSError, http.client.HTTPException) as error:
            status = type(error).__name__
            connection.close()
        with found.lock:
            found.latencies_s.append(time.perf_counter() - began)
            found.statuses[status] += 1
    connection.close()


def load(
    options: argparse.Namespace, host: str, port: int, pid: int, clips: Sequence[bytes], scores: Sequence[float]
) -> tuple[Found, float]:
    """Runs the clients; gives what they found and the seconds that it took."""
    found, began = Found(), time.perf_counter()
    until = began + options.seconds
    most = options.most // options.clients
    threads = [
        threading.Thread(target=client, args=(number, host, port, clips, scores, until, most, found))
        for number in range(options.clients)
    ]
    for thread in threads:
        thread.start()
    server = psutil.Process(pid)
    while any(thread.is_alive() for thread in threads):
        found.resident_mib.append(server.memory_info().rss / 2**20)
        time.sleep(0.5)
    for thread in threads:
        thread.join()
    return found, time.perf_counter() - began


def summary(found: Found, seconds: float, loop_rate: float, page: str) -> dict[str, object]:
    """The figures."""
    ordered = sorted(found.latencies_s)
    quarter = max(1, len(found.resident_mib) // 4)
    second, last = found.resident_mib[quarter : 2 * quarter], found.resident_mib[-quarter:]
    metrics = {name: float(value) for name, value in re.findall(r"^(\w+) ([\d.e+]+)$", page, re.MULTILINE)}
    rate = len(ordered) / seconds
    return {
        "requests": len(ordered),
        "answers": dict(found.statuses),
        "seconds": round(seconds, 1),
        "requests_per_s": round(rate, 1),
        "loop_per_s": round(loop_rate, 1),
        "ratio": round(rate / loop_rate, 2),
        "latency_ms": {
            name: round(1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))])
            for name, share in (("median", 0.5), ("p95", 0.95), ("p99", 0.99), ("worst", 1.0))
        },
        "recordings_per_batch": round(
            metrics["bonafide_batch_recordings_sum"] / metrics["bonafide_batch_recordings_count"], 1
        ),
        "counted_by_service": int(metrics["bonafide_request_seconds_count"]),
        "resident_mib": {
            "second quarter": round(statistics.median(second or last)),
            "last quarter": round(statistics.median(last)),
            "highest": round(max(found.resident_mib)),
        },
    }


def main() -> int:
    """Runs it and prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=REPOSITORY / "data" / "model", help="default: %(default)s")
    parser.add_argument("--clips", type=Path, default=REPOSITORY / "data" / "sample" / "LA" / "ASVspoof2019_LA_eval")
    parser.add_argument("--clients", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=60.0, help="default: %(default)s")
    parser.add_argument("--most", type=int, default=100_000, help="requests in all at most, default: %(default)s")
    options = parser.parse_args()
    sys.path.insert(0, str(REPOSITORY))
    clips = [path.read_bytes() for path in sorted(options.clips.rglob("*.flac"))]
    scores, loop_rate = loop(options.model, clips, min(20.0, options.seconds))
    with service(options.model, options.clients) as (host, port, process):
        found, seconds = load(options, host, port, process.pid, clips, scores)
        connection = http.client.HTTPConnection(host, port, timeout=60)
        connection.request("GET", "/metrics")
        page = connection.getresponse().read().decode()
    figures = summary(found, seconds, loop_rate, page)
    print(json.dumps({**figures, "exit_code_after_sigterm": process.returncode}, indent=2))
    whole = figures["counted_by_service"] == figures["requests"] and set(found.statuses) == {"200"}
    return 0 if whole and process.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

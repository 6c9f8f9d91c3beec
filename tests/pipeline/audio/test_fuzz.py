"""Randomly damaged audio: no crash, no hang, little memory, and nothing passes as whole that FFmpeg decodes otherwise.

`BONAFIDE_MUTANTS` is the number of files, 2,000 by default, which take about ten seconds; `BONAFIDE_SEED` draws others.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("av", reason="the reference is FFmpeg, of the extra media")

MOST_MB = 500


@pytest.mark.slow
def test_no_damaged_file_crashes_hangs_or_passes_with_other_audio_than_ffmpeg_decodes(repository: Path) -> None:
    count, seed = os.environ.get("BONAFIDE_MUTANTS", "2000"), os.environ.get("BONAFIDE_SEED", "1")
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.mutants", count, seed],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=60 + 0.25 * int(count),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["problems"] == []
    assert found["peak_mb"] < MOST_MB
    outcomes = found["outcomes"]
    assert sum(outcomes.values()) == int(count)
    # Damage to plain samples is audio, too, so about half of these pass; what has checksums is refused.
    for name, refused in (("WAV", 0.5), ("FLAC", 0.9), ("MP3", 0.9), ("Vorbis", 0.9), ("Opus", 0.9)):
        of_format = [number for key, number in outcomes.items() if key.startswith(f"{name} ")]
        assert outcomes[f"{name} refused"] > refused * sum(of_format), name
        assert outcomes.get(f"{name} passed", 0) + outcomes[f"{name} refused"] > 0.9 * sum(of_format), name

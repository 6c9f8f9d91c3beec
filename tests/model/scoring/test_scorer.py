from pathlib import Path
from typing import Protocol

import soundfile

from tests.support.child_process import run_script
from tests.support.tone_store import tone


class Trained(Protocol):
    model: Path


SCORE = """
import json, sys
from bonafide import main
try:
    main()
except SystemExit as end:
    status = end.code
print(json.dumps([status, "tensorflow" in sys.modules, "tensorflow_io" in sys.modules]))
"""


def test_scoring_files_does_not_load_tensorflow_io(tmp_path: Path, trained: Trained) -> None:
    soundfile.write(tmp_path / "clip.wav", tone("LA_E_0000003", True), 16000, subtype="PCM_16")

    # A process of its own: the tests of this one have loaded it.
    found = run_script(SCORE, "score", str(tmp_path / "clip.wav"), "--model", str(trained.model))

    assert found == [0, True, False]

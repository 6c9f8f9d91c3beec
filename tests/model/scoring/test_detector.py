"""The Python interface as the README and the docs show it."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

import bonafide
from model.detector import Detector
from tests.support.tone_store import tone
from tests.support.trained_model import Trained


@pytest.mark.parametrize(("page", "name"), [("README.md", "call.flac"), ("docs/scoring.md", "a.flac")])
def test_the_python_of_the_page_runs(
    page: str,
    name: str,
    repository: Path,
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (repository / page).read_text(encoding="utf-8"), re.DOTALL)
    (code,) = (block for block in blocks if "from bonafide import Detector" in block)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "model").symlink_to(trained.model)
    for file in re.findall(r"\"([a-z]+\.(?:flac|mp3))\"", code):
        soundfile.write(tmp_path / file, tone("LA_E_0000003", True), 16000)
    monkeypatch.chdir(tmp_path)

    exec(compile(code, page, "exec"), {})

    printed = capsys.readouterr().out
    assert name in printed
    assert "uncertain" in printed, "tones are no speech, or too unlike speech"


def test_bonafide_gives_the_class_when_it_is_asked_for() -> None:
    assert bonafide.Detector is Detector
    with pytest.raises(AttributeError, match="'Detektor'"):
        bonafide.Detektor  # noqa: B018


def test_threads_may_share_a_detector(trained: Trained) -> None:
    from concurrent.futures import ThreadPoolExecutor

    detector = Detector.load(trained.model)
    clips = [tone(f"LA_E_{number:07d}", number % 2 == 0) for number in range(12)]
    alone = [detector.score(clip, 16000) for clip in clips]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda clip: detector.score(clip, 16000), clips))

    assert np.allclose([record.score for record in together], [record.score for record in alone], atol=1e-5)
    assert [record.warnings for record in together] == [record.warnings for record in alone]


def test_the_packages_say_that_they_have_types(repository: Path) -> None:
    assert (repository / "model" / "py.typed").exists()
    assert (repository / "pipeline" / "py.typed").exists()
    assert '"py.typed"' in (repository / "pyproject.toml").read_text(encoding="utf-8")

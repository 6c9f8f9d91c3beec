"""Protocols, keys and ASV scores as the ASVspoof challenges publish them, and files that only look like them."""

from pathlib import Path

import pytest

from model.metrics import MetricsError, read_asv_scores, read_scores
from model.metrics.score_files import read_protocol

LA_2021 = """LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval
LA_0020 LA_E_6866159 alaw ita_tx bonafide bonafide notrim eval
"""
DF_2021 = """TEF2 DF_E_2000013 low_m4a vcc2020 Task1-team20 spoof notrim eval traditional_vocoder Task1 team20 FF E
LA_0043 DF_E_2000026 mp3m4a asvspoof bonafide bonafide notrim eval bonafide - - - -
"""
ASVSPOOF_5 = "T_1 T_0000000000 F - - - AC3 A05 spoof -\nT_2 T_0000000001 M - - - - bonafide bonafide -\n"
HEADED = "SPEAKER_ID FLAC_FILE_NAME SPEAKER_GENDER CODEC CODEC_Q CODEC_SEED ATTACK_TAG ATTACK_LABEL KEY TMP\n"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "ids", "attacks"),
    [
        (LA_2021, ["LA_E_9332881", "LA_E_6866159"], ["A07", "-"]),
        (DF_2021, ["DF_E_2000013", "DF_E_2000026"], ["Task1-team20", "-"]),
        (ASVSPOOF_5, ["T_0000000000", "T_0000000001"], ["A05", "-"]),
        (HEADED + ASVSPOOF_5, ["T_0000000000", "T_0000000001"], ["A05", "-"]),
        (
            ASVSPOOF_5.replace(" F -", ".flac F -").replace(" M -", ".flac M -"),
            ["T_0000000000", "T_0000000001"],
            ["A05", "-"],
        ),
    ],
)
def test_keys_of_later_challenges_are_protocols(tmp_path: Path, text: str, ids: list[str], attacks: list[str]) -> None:
    protocol = read_protocol(written(tmp_path / "keys.txt", text))
    assert protocol.labels is not None
    assert (protocol.utterance_ids.tolist(), protocol.attack_ids.tolist()) == (ids, attacks)
    assert protocol.labels.tolist() == [0, 1]


def test_a_list_of_labels_is_told_before_its_labels_are_taken_for_ids(tmp_path: Path) -> None:
    path = written(tmp_path / "labels.txt", "X_0000.wav genuine\nX_0001.wav fake\nX_0002.wav fake\n")
    with pytest.raises(
        MetricsError, match="column 2 holds genuine/fake: this looks like a list of files and labels, not a pro"
    ):
        read_protocol(path)
    with pytest.raises(MetricsError, match=r"column 2 holds genuine/fake: .* not one of scores"):
        read_scores(path)


def test_an_unlabelled_protocol_may_still_have_two_columns(tmp_path: Path) -> None:
    protocol = read_protocol(written(tmp_path / "trials.txt", "LA_1 E_1\nLA_1 E_2\n"))
    assert protocol.labels is None
    assert protocol.utterance_ids.tolist() == ["E_1", "E_2"]


def test_a_log_is_told_with_a_way_to_make_scores_of_it(tmp_path: Path) -> None:
    path = written(tmp_path / "log.txt", "Output, X_0000, 1, -0.50\nOutput, X_0001, 0, -0.40\n")
    with pytest.raises(
        MetricsError, match=r"fields end with commas \(Output, X_0000, 1, -0\.50\).* '\{print \$2, \$4\}'"
    ):
        read_scores(path)


KEYS = """LA_0007-alaw-ita_tx LA_E_1-alaw-ita_tx alaw ita_tx bonafide nontarget notrim eval
LA_0008-alaw-ita_tx LA_E_1-alaw-ita_tx alaw ita_tx bonafide target notrim eval
LA_0007-none-- LA_E_2-none-- none - A07 spoof notrim progress
"""
SCORES = """LA_0007-alaw-ita_tx LA_E_1-alaw-ita_tx -1.0
LA_0008-alaw-ita_tx LA_E_1-alaw-ita_tx 3.0
LA_0007-none-- LA_E_2-none-- 2.0
"""


def test_asv_scores_of_2021_have_their_keys_in_the_folder_above(tmp_path: Path) -> None:
    path = written(tmp_path / "ASV" / "ASVTorch_Kaldi" / "score.txt", SCORES)
    with pytest.raises(MetricsError, match=r"column 2 holds no key .*ASV/trial_metadata\.txt, in the folder above"):
        read_asv_scores(path)
    keys = written(tmp_path / "ASV" / "trial_metadata.txt", KEYS)
    asv = read_asv_scores(path)
    assert (asv.target.tolist(), asv.nontarget.tolist(), asv.spoof.tolist()) == ([3.0], [-1.0], [2.0])
    assert asv.spoof_utterance_ids is not None
    assert (asv.spoof_attack_ids.tolist(), asv.spoof_utterance_ids.tolist()) == (["A07"], ["LA_E_2"])
    written(keys, KEYS.replace("LA_E_2", "LA_E_3"))
    with pytest.raises(MetricsError, match="its trials are not those of"):
        read_asv_scores(path)

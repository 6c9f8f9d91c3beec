from model.report.limits import limits
from tests.support.report_metrics import split_metrics


def test_the_limits_carry_the_numbers_of_the_run() -> None:
    attacks = {"A07": {"eer": 0.45}, "A08": {"eer": 0.42}, "A09": {"eer": 0.05}}
    metrics = {
        "dev": split_metrics(0.02, cllr=0.1),
        "eval": split_metrics(0.3, cllr=0.97, uncertain=0.25, per_attack=attacks, trimmed={"eer": 0.42}),
    }
    validation = {"eval": {"shortcut_eer": {"leading_silence_s": 0.21, "level_db": 0.5}, "speakers": 48}}

    found = {limit.title: limit for limit in limits(metrics, validation, 2.0, 0.5, ["A07", "A08", "A09"])}

    unseen = found["Attacks that were not in training"].text
    assert "from 2.0\u202f% on dev to 30.0\u202f% on eval" in unseen
    assert "against A07 and A08 it is hardly better than guessing" in unseen
    assert "leading silence" in found["Shortcuts in the data"].text
    assert "21.0\u202f%" in found["Shortcuts in the data"].text
    assert "42.0\u202f% instead of 30.0\u202f%" in found["Shortcuts in the data"].text
    # 0.7 of the fakes are caught, 0.1 of the genuine alarm: 0.007 / (0.007 + 0.099) of the alarms are right.
    assert "7\u202f% of its alarms would be right" in found["Another mix of real and fake"].text
    assert "0.10 bit on dev and 0.97 bit on eval" in found["Probabilities taken at face value"].text
    assert "25\u202f% of the eval clips" in found["Unclear cases"].text
    assert "48 speakers" in found["Small numbers"].text
    assert "windows of 2\u202fs" in found["Partial fakes"].text
    assert not found["Other channels and codecs"].measured


def test_what_was_not_measured_is_not_claimed() -> None:
    found = {limit.title: limit for limit in limits({"dev": split_metrics(0.1)}, None, 2.0, 0.5, [])}

    assert not found["Attacks that were not in training"].measured
    assert "Shortcuts in the data" not in found
    assert "Probabilities taken at face value" not in found
    assert "Unclear cases" not in found

"""What the detector cannot be trusted with: each limit with the numbers of this run, or stated as not measured."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from model.report.words import error_rates, listed, percent


@dataclass(frozen=True)
class Limit:
    """One thing that the detector cannot be trusted with.

    Attributes:
        title: Its name.
        text: The reason, with numbers.
        measured: True if a number of this run shows it, False if nothing was measured.
    """

    title: str
    text: str
    measured: bool


_RARE_FAKES: Final = 0.01
_NOT_MEASURED: Final = (
    Limit(
        "Other channels and codecs",
        "Telephone lines, messengers, MP3 or AAC, rooms and loudspeakers change a spectrogram as much as an attack does. "
        "Only recordings like those of the data card were measured.",
        False,
    ),
    Limit(
        "Other languages and kinds of speech",
        "Languages, accents, ages, singing, shouting and whispering that are not in the corpus were not measured.",
        False,
    ),
    Limit(
        "Who is speaking",
        "It tells real speech from synthetic speech, not one speaker from another: to it, an impersonator or a replayed "
        "recording of the right person is genuine speech.",
        False,
    ),
    Limit(
        "Attackers who know the detector",
        "Whoever can query the detector can adapt a fake to it. No such attack was measured.",
        False,
    ),
)


def limits(
    metrics: Mapping[str, Mapping[str, Any]],
    validation: Mapping[str, Any] | None,
    window_s: float,
    prior: float,
    unseen: Collection[str],
    corpora: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Limit]:
    """What the detector cannot be trusted with; measured limits first.

    Args:
        metrics: Metrics of each labelled split.
        validation: The data validation, or None.
        window_s: Seconds that the network sees at once.
        prior: Probability of bona fide that stated probabilities assume.
        unseen: Attacks of eval that were not in the training data.
        corpora: Metrics of each further test set.
    """
    split = "eval" if "eval" in metrics else "dev"
    main = metrics[split]
    measured = (
        _unseen_attacks(metrics, unseen),
        _other_corpora(main, split, corpora or {}),
        _shortcuts(validation, split, main),
        _prior_shift(main, prior),
        _calibration(metrics),
        _uncertain_clips(main, split),
        _sample_size(main, split, validation),
    )
    return [*(limit for limit in measured if limit is not None), _partial_fakes(window_s), *_NOT_MEASURED]


def _unseen_attacks(metrics: Mapping[str, Mapping[str, Any]], unseen: Collection[str]) -> Limit:
    title = "Attacks that were not in training"
    per_attack = metrics.get("eval", {}).get("per_attack", {})
    new = {name: per_attack[name]["eer"] for name in unseen if name in per_attack}
    if not new:
        return Limit(title, "No attack was kept out of training, so nothing is known about new attacks.", False)
    worst = sorted(new, key=lambda name: (-new[name], name))
    gap = ""
    if "dev" in metrics:
        gap = (
            f"The EER goes from {percent(metrics['dev']['eer'])} on dev to {percent(metrics['eval']['eer'])} on eval. "
        )
    hopeless = [name for name in worst if new[name] >= 0.4]
    text = f"{gap}Among {len(new)} unseen attacks it ranges from {percent(new[worst[-1]])} to {percent(new[worst[0]])}"
    text += f"; against {listed(hopeless)} it is hardly better than guessing. " if hopeless else ". "
    return Limit(title, f"{text}A new generator of voices may be harder than any of these.", True)


def _other_corpora(main: Mapping[str, Any], split: str, corpora: Mapping[str, Mapping[str, Any]]) -> Limit:
    title = "Other corpora"
    eers = {name: found["eer"] for name, found in corpora.items() if "eer" in found}
    if not eers:
        text = "Detectors lose much of their success on recordings of another origin. No other corpus was tested."
        return Limit(title, text, False)
    told = listed([f"{percent(eers[name])} on {name}" for name in sorted(eers, key=lambda name: (-eers[name], name))])
    text = f"The EER is {percent(main['eer'])} on {split}, {told}, with nothing fitted on them."
    return Limit(title, text, True)


def _shortcuts(validation: Mapping[str, Any] | None, split: str, main: Mapping[str, Any]) -> Limit | None:
    parts = []
    eers = (validation or {}).get(split, {}).get("shortcut_eer", {})
    if eers:
        measure = min(eers, key=lambda name: (eers[name], name))
        plain = measure.rsplit("_", 1)[0].replace("_", " ")
        parts.append(
            f"The single plain property that separates best on {split}, {plain}, tells the classes apart with an EER of "
            f"{percent(eers[measure])} without the voice (50\u202f% is chance)."
        )
    trimmed = main.get("trimmed", {}).get("eer")
    if trimmed is not None:
        parts.append(
            f"With the silence at both ends cut off, the EER is {percent(trimmed)} instead of {percent(main['eer'])}."
        )
    if not parts:
        return None
    return Limit(
        "Shortcuts in the data",
        " ".join([*parts, "The detector may use a property that the probe did not test."]),
        True,
    )


def _prior_shift(main: Mapping[str, Any], prior: float) -> Limit:
    miss, false_alarm = error_rates(main)
    caught = (1 - false_alarm) * _RARE_FAKES
    alarms = caught + miss * (1 - _RARE_FAKES)
    right = (
        f"{percent(caught / alarms, 0)} of its alarms would be right" if alarms else "it would raise no alarm at all"
    )
    return Limit(
        "Another mix of real and fake",
        f"Probabilities are stated for a prior of {percent(prior, 0)} genuine. Where 1 clip in 100 is fake, {right}, "
        "with the error rates measured here. Use the prior of the place of use.",
        True,
    )


def _calibration(metrics: Mapping[str, Mapping[str, Any]]) -> Limit | None:
    if "eval" not in metrics or "dev" not in metrics or "cllr" not in metrics["eval"]:
        return None
    dev, new = metrics["dev"]["cllr"], metrics["eval"]["cllr"]
    worth = " That is no better than having no scores." if new >= 0.95 else ""
    slope = metrics["eval"].get("calibration_slope")
    claims = "" if slope is None else f" On eval the ratios would need a slope of {slope:.2f} (1 is honest)."
    return Limit(
        "Probabilities taken at face value",
        f"Scores were calibrated without eval. Their cost Cllr is {dev:.2f} bit on dev and {new:.2f} bit on eval (0 is perfect, "
        f"1 is worthless).{worth}{claims} On other data it may be worse.",
        True,
    )


def _uncertain_clips(main: Mapping[str, Any], split: str) -> Limit | None:
    if "uncertain" not in main:
        return None
    wrong = main.get("wrong_of_certain")
    certain = "" if wrong is None else f" Of the other verdicts {percent(wrong, 0)} are wrong."
    if "bonafide_wrong" in main and "spoof_wrong" in main:
        certain += (
            f" {percent(main['bonafide_wrong'])} of the genuine clips are called spoof for certain, and "
            f"{percent(main['spoof_wrong'])} of the fakes bona fide."
        )
    return Limit(
        "Unclear cases",
        f"{percent(main['uncertain'], 0)} of the {split} clips are in the uncertain band, and their verdict is "
        f"“uncertain”.{certain} The band was set without eval; elsewhere its error rate is not guaranteed.",
        True,
    )


def _sample_size(main: Mapping[str, Any], split: str, validation: Mapping[str, Any] | None) -> Limit:
    speakers = (validation or {}).get(split, {}).get("speakers")
    text = f"All numbers come from {main['n_bonafide']:,} genuine and {main['n_spoof']:,} fake clips"
    text += f" of {speakers:,} speakers. " if speakers else ". "
    if "eer_ci95_low" in main:
        low, high = percent(main["eer_ci95_low"]), percent(main["eer_ci95_high"])
        others = {"attack": "attacks like these", "speaker": "speakers like these"}.get(
            main.get("drawn", ""), "clips of the same kind"
        )
        text += f"With other {others} the EER would be between {low} and {high} (95\u202f%); "
        text += "with other kinds of clips it may have any value."
    return Limit("Small numbers" if main["n_trials"] < 2000 else "Sampling", text, True)


def _partial_fakes(window_s: float) -> Limit:
    return Limit(
        "Partial fakes",
        f"The score is a mean over windows of {window_s:g}\u202fs. A few forged words in a long genuine recording hardly change "
        "it; such clips were not measured.",
        False,
    )

"""What the page concludes about the detector: one sentence, a grade and what they mean in use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.metrics import SEEN, UNSEEN
from model.report.words import error_rates, percent, share_in_words


@dataclass(frozen=True)
class Conclusion:
    """What the page says first.

    Attributes:
        grade: One of "chance", "weak", "helpful", "strong"; the page's style follows it.
        label: The grade in words.
        sentence: How often the detector is wrong.
        consequence: What the threshold from dev means in use.
    """

    grade: str
    label: str
    sentence: str
    consequence: str


def conclude(metrics: Mapping[str, Any], split: str) -> Conclusion:
    """The conclusion from one split.

    Args:
        metrics: Of the split, as in details.json.
        split: "eval" or "dev".
    """
    eer = metrics["eer"]
    if metrics.get("is_constant"):
        return Conclusion(
            grade="chance",
            label="It tells nothing",
            sentence=f"This detector gives the same score to every clip of {split}.",
            consequence="Its equal error rate of 50\u202f% is that of guessing. Training has failed: lower train.learning_rate.",
        )
    if eer >= 0.4:
        grade, label = "chance", "Hardly better than guessing"
    elif eer >= 0.15:
        grade, label = "weak", "Not fit to decide alone"
    elif eer >= 0.05:
        grade, label = "helpful", "Helps, but needs a second opinion"
    else:
        grade, label = "strong", "Strong on this corpus"
    seen, unseen = metrics.get(SEEN), metrics.get(UNSEEN)
    if unseen and not seen:
        where = "On attacks that were not in its training data"
    elif split == "eval":
        where = "On clips that it was not trained on"
    else:
        where = "On the clips that its settings were chosen on"
    miss, false_alarm = error_rates(metrics)
    groups = ""
    if seen and unseen:
        groups = (
            f" Its equal error rate is {percent(seen['eer'])} on attacks of its training data and "
            f"{percent(unseen['eer'])} on other attacks."
        )
    return Conclusion(
        grade=grade,
        label=label,
        sentence=f"{where}, this detector confuses {share_in_words(eer)} clips.",
        consequence=f"At the threshold chosen on dev it accepts {percent(false_alarm, 0)} of the fakes "
        f"and rejects {percent(miss, 0)} of the genuine voices.{groups}",
    )

#!/usr/bin/env python3
"""Train and evaluate every recipe of recipes.yaml with several seeds, and write what came out to docs/study.md.

    make study                                          everything, hours
    python tools/study/study.py --corpora minila --recipes default lfcc --seeds 1 2

Every run goes through the commands of the project. A finished run is not repeated: its metrics are in data/study/runs. What the
recipes share, such as a feature store, is made once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from table import write_page

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
WORK = REPOSITORY / "data" / "study"
RESULTS = REPOSITORY / "reports" / "study.json"
PAGE = REPOSITORY / "docs" / "study.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", nargs="+", help="default: those that are there")
    parser.add_argument("--recipes", nargs="+", help="recipes and fusions; default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    arguments = parser.parse_args()
    plan = yaml.safe_load(os.path.expandvars((HERE / "recipes.yaml").read_text()))
    for corpus, changes in plan["corpora"].items():
        if arguments.corpora and corpus not in arguments.corpora:
            continue
        if not (REPOSITORY / changes["data"]["root"]).is_dir():
            print(f"{corpus}: {changes['data']['root']} is not there; set BONAFIDE_SHARED_DATA", file=sys.stderr)
            continue
        for name in arguments.recipes or [*plan["recipes"], *plan["fusions"], *plan["ensembles"]]:
            if name in plan["ensembles"]:
                runs = [f"{recipe}-{seed}" for recipe in plan["ensembles"][name] for seed in arguments.seeds]
                run_fusion(corpus, f"{name}-all", [run for run in runs if scores_of(corpus, run).is_dir()])
            for seed in arguments.seeds if name not in plan["ensembles"] else ():
                if name in plan["recipes"]:
                    run_recipe(corpus, changes, name, plan["recipes"][name]["params"], seed)
                else:
                    run_fusion(corpus, f"{name}-{seed}", [f"{recipe}-{seed}" for recipe in plan["fusions"][name]])
            collect()
    write_page(json.loads(RESULTS.read_text()), plan, PAGE)


def run_recipe(corpus: str, corpus_changes: dict[str, Any], name: str, changes: dict[str, Any], seed: int) -> None:
    """Trains and evaluates one recipe with one seed; leaves scores and metrics in its folder."""
    folder = WORK / "runs" / corpus / f"{name}-{seed}"
    if (folder / "result.json").exists():
        return
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    for part in (corpus_changes, changes, {"train": {"seed": seed}, "evaluate": {"intervals": 200}}):
        params = merged(params, part)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    made_from = json.dumps([params[section] for section in ("data", "features", "augment")], sort_keys=True)
    shared = WORK / "stores" / hashlib.sha256(made_from.encode()).hexdigest()[:12]
    shared.mkdir(parents=True, exist_ok=True)
    manifest, store = shared / "manifest.parquet", shared / "store"
    if not manifest.exists():
        command(folder, "manifest", "--output", manifest)
    command(folder, "features", "--manifest", manifest, "--output", store)
    began = time.monotonic()
    command(folder, "crossval", "--store", store, "--output", folder / "crossval", "--report", folder / "folds")
    folds = json.loads((folder / "folds" / "metrics.json").read_text())
    middle = time.monotonic()
    training = ("--crossval", folder / "crossval", "--output", folder / "model", "--report", folder / "train")
    command(folder, "train", "--store", store, *training)
    ended = time.monotonic()
    scoring = ("--model", folder / "model", "--manifest", manifest, "--output", folder / "evaluation")
    command(folder, "evaluate", "--store", store, *scoring)
    details = json.loads((folder / "evaluation" / "details.json").read_text())
    result = {
        **figures(details),
        "held_out": folds.get("mean_eer"),
        "folds_s": round(middle - began),
        "train_s": round(ended - middle),
        "conditions": {row["title"]: row for row in conditions(folder / "evaluation" / "robustness.json")},
    }
    finish(folder, result)


def run_fusion(corpus: str, run: str, members: list[str]) -> None:
    """Fuses the scores of runs that are finished."""
    folder = WORK / "runs" / corpus / run
    scores = [scores_of(corpus, member) for member in members]
    finished = folder / "result.json"
    if finished.exists() and json.loads(finished.read_text()).get("runs") == members:
        return
    if len(scores) < 2 or not all(of_member.is_dir() for of_member in scores):
        return
    folder.mkdir(parents=True, exist_ok=True)
    options = [
        part for of_member in scores for part in ("--dev", of_member / "dev.txt", "--eval", of_member / "eval.txt")
    ]
    bonafide("fuse", *options, "--output", folder / "fused")
    result = {}
    for split in ("dev", "eval"):
        files = ("--scores", folder / "fused" / f"{split}.txt", "--dev-scores", folder / "fused" / "dev.txt", "--json")
        result[split] = json.loads(bonafide("metrics", *files))
    finish(folder, figures({split: as_details(found) for split, found in result.items()}) | {"runs": members})


def scores_of(corpus: str, run: str) -> Path:
    """The folder with the scores of a run."""
    return WORK / "runs" / corpus / run / "evaluation" / "scores"


def as_details(metrics: dict[str, Any]) -> dict[str, Any]:
    """What `bonafide metrics` says of calibrated scores, by the names of an evaluation."""
    names = ("calibration_slope", "expected_calibration_error")
    abstain = {name: metrics["abstain"][name] for name in ("certain_wrong", "uncertain")}
    return metrics | abstain | {name: metrics["calibrated"][name] for name in names}


def figures(details: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of details.json."""
    names = ("eer", "cllr", "calibration_slope", "certain_wrong", "uncertain", "expected_calibration_error")
    result: dict[str, Any] = {split: {name: details[split][name] for name in names} for split in ("dev", "eval")}
    for group in ("seen", "unseen"):
        if group in details["eval"]:
            result["eval"][group] = details["eval"][group]["eer"]
    result["attacks"] = {attack: found["eer"] for attack, found in details["eval"]["per_attack"].items()}
    return result


def conditions(file: Path) -> list[dict[str, Any]]:
    """The robustness table, without intervals."""
    if not file.exists():
        return []
    return [{k: v for k, v in row.items() if k != "eer_ci95"} for row in json.loads(file.read_text())["conditions"]]


def collect() -> None:
    """Adds the finished runs to reports/study.json; the runs of another checkout that it holds stay."""
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found |= {
        f"{file.parents[1].name}/{file.parent.name}": json.loads(file.read_text())
        for file in sorted((WORK / "runs").glob("*/*/result.json"))
    }
    RESULTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def finish(folder: Path, result: dict[str, Any]) -> None:
    """Marks a run as finished."""
    partial = folder / ".result.json"
    partial.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    partial.rename(folder / "result.json")
    print(f"{folder.relative_to(WORK)}: dev {result['dev']['eer']:.2%}, eval {result['eval']['eer']:.2%}", flush=True)


def merged(params: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Parameters with changes. A section that changes its kind keeps only the keys that every kind has."""
    result = dict(params)
    if "kind" in changes and changes["kind"] != params.get("kind"):
        common = (
            "sample_rate",
            "hop_length",
            "floor_db",
            "level_dbfs",
            "min_duration_s",
            "max_duration_s",
            "silence_db",
        )
        kept = (*common, "max_reject_fraction", "n_fft", "win_length", "f_min", "f_max")
        result = {key: value for key, value in params.items() if key in kept}
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(value, dict) and isinstance(old, dict) else value
    return result


def command(folder: Path, name: str, *options: object) -> None:
    """Runs a command of the project with a run's parameters."""
    bonafide(name, "--params", folder / "params.yaml", *options)


def bonafide(*arguments: object) -> str:
    """The output of a command of the project."""
    words = [sys.executable, "-m", "bonafide", *map(str, arguments)]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()

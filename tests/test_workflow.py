"""The workflow of GitHub Actions runs what a clean clone must pass, with actions pinned by commit."""

import re
from pathlib import Path

import yaml


def test_the_workflow_runs_the_ci_entry_with_pinned_actions(repository: Path) -> None:
    # YAML 1.1 reads the key `on` as true.
    workflow = yaml.safe_load((repository / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    (job,) = workflow["jobs"].values()
    used = [step["uses"] for step in job["steps"] if "uses" in step]

    assert {"push", "pull_request"} <= set(workflow[True])
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert (repository / ".ci" / "run").stat().st_mode & 0o111
    assert [action for action in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)] == []

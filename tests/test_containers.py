"""The files of deploy/ agree with each other and with the lock: no engine is needed to see that."""

import fnmatch
import re
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture(scope="module")
def dockerfile(repository: Path) -> str:
    return (repository / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose(repository: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((repository / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def objects(repository: Path) -> list[dict[str, Any]]:
    """Every object of the Kubernetes examples."""
    files = sorted((repository / "deploy" / "kubernetes").glob("*.yaml"))
    return [found for file in files for found in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


def locked(repository: Path, package: str) -> str:
    lock = (repository / "requirements.lock").read_text(encoding="utf-8")
    found = re.search(rf"^{package}==([\w.]+)", lock, re.MULTILINE)
    assert found is not None
    return found[1]


def images(value: object) -> set[str]:
    """Every value of a key `image`, at any depth."""
    if isinstance(value, dict):
        own = {value["image"]} if isinstance(value.get("image"), str) else set()
        return own.union(*(images(part) for part in value.values()))
    return set().union(*(images(part) for part in value)) if isinstance(value, list) else set()


def test_what_the_images_copy_exists_and_is_sent_to_the_build(repository: Path, dockerfile: str) -> None:
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.MULTILINE) for name in line.split()[:-1]
    }
    lines = (repository / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = [line[1:] for line in lines if line.startswith("!")]

    assert {name for name in copied if not (repository / name).exists()} == set()
    assert {name for name in copied if not any(fnmatch.fnmatch(name, pattern) for pattern in sent)} == set()
    assert "*" in lines, "audio, results and the history stay out"


def test_the_images_install_the_locked_versions_with_the_locked_tool(repository: Path, dockerfile: str) -> None:
    assert f"uv=={locked(repository, 'uv')} " in dockerfile
    installs = re.findall(r"uv pip install (.*)$", dockerfile, re.MULTILINE)
    assert [line for line in installs if "requirements.lock" not in line] == []


def test_the_final_images_do_not_run_as_root(dockerfile: str) -> None:
    runtime = dockerfile.split("AS runtime")[1]
    assert re.findall(r"^USER (.*)$", runtime, re.MULTILINE) == ["10001"]
    assert set(re.findall(r"^FROM (\S+) AS (?:worker|command|serve)$", runtime, re.MULTILINE)) == {"runtime", "command"}


def test_flink_and_the_images_have_one_version_everywhere(repository: Path, compose: dict[str, Any]) -> None:
    version = re.search(r'^version = "(.*)"', (repository / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    named = images(compose) | images(objects(repository))

    own = {name.rpartition("/")[2] for name in named if "bonafide" in name}
    assert own == {f"{name}:{version[1]}" for name in ("bonafide", "bonafide-worker", "bonafide-serve")}
    flink = {name for name in named if name.startswith("flink:")}
    assert flink == {f"flink:{locked(repository, 'apache-flink-libraries')}-java17"}


def test_every_task_manager_of_compose_has_its_own_pool(compose: dict[str, Any]) -> None:
    services = compose["services"]
    shared = sorted(service["network_mode"] for service in services.values() if "network_mode" in service)

    assert shared == sorted(f"service:{name}" for name in services if name.startswith("taskmanager-"))


def test_compose_opens_no_port_to_other_machines(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_the_kubernetes_examples_are_a_cluster_a_job_and_a_service(repository: Path) -> None:
    found = objects(repository)

    assert sorted(one["kind"] for one in found) == ["Deployment", "FlinkDeployment", "Job", "Service"]
    (job,) = (one for one in found if one["kind"] == "Job")
    (cluster,) = (one for one in found if one["kind"] == "FlinkDeployment")
    (command,) = job["spec"]["template"]["spec"]["containers"]
    assert f"--flink_master={cluster['metadata']['name']}-rest:8081" in command["args"]

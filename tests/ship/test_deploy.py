"""What is deployed, judged by the tools of those who run it: hadolint, Helm, Kubernetes' schemas, systemd."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = str(ROOT / "deploy/chart")
FULL = """\
replicas: 3
environmentSecret: agent
workers: {replicas: 2, labels: {zone: eu}}
inventory: {shop.yaml: "host: local\\n"}
policy: "- {ask: {effect: change}}\\n"
environment: {DEVOPS_AGENT_MODEL: gpt-4o}
serviceAccount: {create: true, rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, list, patch]}]}
persistence: {accessMode: ReadWriteMany}
nodeSelector: {disk: fast}
tolerations: [{key: dedicated, operator: Exists}]
"""


def run(name: str, *args: str) -> subprocess.CompletedProcess[str]:
    """A program of the development environment, or of the system; skips where it is not here."""
    program = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    return subprocess.run([program, *args], capture_output=True, text=True, timeout=60, check=False)


def test_the_image() -> None:
    done = run("hadolint", str(ROOT / "Dockerfile"))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.compose-spec", "compose.yaml"),
        ("vendor.github-actions", "integrations/github/action.yml"),
        ("vendor.gitlab-ci", "integrations/gitlab/devops-agent.gitlab-ci.yml"),
    ],
)
def test_files_for_others_fit_their_schemas(schema: str, file: str) -> None:
    done = run("check-jsonschema", "--builtin-schema", schema, str(ROOT / file))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "values", ["{}", FULL, "persistence: {enabled: false}\nserviceAccount: {create: false, name: own}\n"]
)
def test_the_chart_makes_what_kubernetes_takes(values: str, tmp_path: Path) -> None:
    given = tmp_path / "values.yaml"
    given.write_text(values)
    assert run("helm", "lint", "--strict", CHART, "--values", str(given)).returncode == 0
    made = run("helm", "template", "here", CHART, "--values", str(given))
    assert made.returncode == 0, made.stderr
    (tmp_path / "made.yaml").write_text(made.stdout)
    done = run("kubernetes-validate", "--strict", "-k", "1.31", str(tmp_path / "made.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = [each["kind"] for each in yaml.safe_load_all(made.stdout) if each]
    assert kinds.count("Deployment") == (2 if "workers" in values else 1)
    assert ("Role" in kinds) == ("rules" in values)


@pytest.mark.parametrize("wrong", ["replicas=2", "workers.replicas=1"])
def test_the_chart_refuses_what_cannot_work(wrong: str) -> None:
    done = run("helm", "template", "here", CHART, "--set", wrong)
    assert done.returncode != 0
    assert "Postgres" in done.stderr


def test_containers_of_the_chart_may_nothing_that_they_need_not() -> None:
    made = run("helm", "template", "here", CHART)
    [pod] = [
        each["spec"]["template"]["spec"] for each in yaml.safe_load_all(made.stdout) if each["kind"] == "Deployment"
    ]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    for each in pod["containers"]:
        assert each["securityContext"]["readOnlyRootFilesystem"] is True
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_unit() -> None:
    done = run("systemd-analyze", "verify", "--man=no", str(ROOT / "deploy/systemd/devops-agent.service"))
    assert done.returncode == 0, done.stderr
    assert "devops-agent.service:" not in done.stderr

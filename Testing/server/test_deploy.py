"""The deployment files: Kubernetes and Ansible as their own checkers see them, the container as it is built."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from server.service_case import IN_CI

DEPLOY = Path(__file__).parents[2] / "Resources" / "Deploy"
KUBERNETES = DEPLOY / "kubernetes"
ROOT = Path(__file__).parents[2]


def program(name):
    """A program of the environment that runs the tests; in CI it must be there."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if not found and not IN_CI:
        pytest.skip(f"{name} is not installed.")
    assert found, f"{name} is not installed, but CI installs it."
    return found


def documents(name):
    return list(yaml.safe_load_all((KUBERNETES / name).read_text()))


@pytest.mark.parametrize("name", ["namespace", "data", "server", "ingress", "network-policy"])
def test_kubernetes_takes_the_objects(name):
    path = KUBERNETES / f"{name}.yaml"
    ran = subprocess.run([program("kubernetes-validate"), "--strict", path], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_wrong_field_is_found(tmp_path):
    text = (KUBERNETES / "server.yaml").read_text().replace("runAsNonRoot", "runAsNobody")
    (tmp_path / "server.yaml").write_text(text)
    ran = subprocess.run([program("kubernetes-validate"), "--strict", tmp_path / "server.yaml"], capture_output=True)
    assert ran.returncode != 0


def test_kustomize_names_every_file_and_every_name_is_there():
    kustomization = documents("kustomization.yaml")[0]
    there = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == there
    server, service = documents("server.yaml")
    pod = server["spec"]["template"]
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    assert {volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["spec"]["volumes"]} >= {
        documents("data.yaml")[0]["metadata"]["name"]
    }
    ports = {port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
    assert ports == {service["spec"]["ports"][0]["port"]} == {8250}


def test_the_servers_arguments_are_options_of_serve():
    from neckfrac.commands.serve import serve
    from typer import Typer
    from typer.main import get_command

    app = Typer()
    app.command()(serve)
    known = {name for parameter in get_command(app).params for name in parameter.opts}
    server = documents("server.yaml")[0]["spec"]["template"]["spec"]["containers"][0]["args"]
    unit = (DEPLOY / "ansible" / "templates" / "neckfrac.service.j2").read_text().partition("serve ")[2]
    container = re.search(r"^CMD (.*)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)[1]
    used = {
        argument.partition("=")[0] for argument in (*server, *unit.split("\n\n")[0].split(), *json.loads(container))
    }
    used = {argument for argument in used if argument.startswith("--")}
    assert len(used) >= 8 and used <= known


def test_ansible_takes_the_playbook(tmp_path):
    command = [program("ansible-playbook"), "--syntax-check", "--inventory", DEPLOY / "ansible" / "hosts.ini"]
    ran = subprocess.run(
        [*command, DEPLOY / "ansible" / "playbook.yaml"], capture_output=True, text=True,
        env={"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_what_the_container_copies_is_there():
    copied = re.findall(r"^COPY (.+) \S+$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name

"""What Remora is installed with: every file is well formed, and every configuration in them is one that Remora takes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from harness.processes import ROOT, VENVS, Process, binary
from harness.remora import Remora, check, configuration
from harness.replicas import new_key
from servers.raw import RawBackend

YAML = sorted(path for folder in ("conf", "docker") for path in (ROOT / folder).rglob("*.y*ml"))


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def configurations() -> Iterator[tuple[str, str]]:
    """Every remora.yaml there is: as a file, and within a ConfigMap."""
    for path in YAML:
        name = str(path.relative_to(ROOT))
        if path.name.startswith("remora."):
            yield name, path.read_text()
        for document in documents(path):
            for key, text in (document.get("data") or {}).items():
                yield f"{name}:{key}", text


CONFIGURATIONS = dict(configurations())


def kubernetes(kind: str) -> dict[str, Any]:
    (found,) = (each for each in documents(ROOT / "conf/kubernetes/sidecar.yaml") if each["kind"] == kind)
    return found


def test_there_is_something_to_look_at() -> None:
    assert len(YAML) >= 5
    assert set(CONFIGURATIONS) >= {
        "conf/remora.yaml",
        "conf/remora.full.yaml",
        "docker/remora.yaml",
        "conf/kubernetes/sidecar.yaml:remora.yaml",
    }


@pytest.mark.parametrize("path", YAML, ids=str)
def test_every_file_is_yaml(path: Path) -> None:
    assert all(isinstance(document, dict) for document in documents(path))


@pytest.mark.parametrize("name", CONFIGURATIONS)
async def test_every_configuration_is_right(name: str, tmp_path: Path) -> None:
    # What the environment and a secret would give.
    key = new_key(tmp_path / "seal.key")
    text = CONFIGURATIONS[name].replace("${REMORA_REPLICA}", "a").replace("/run/secrets/seal.key", str(key))
    status, printed = await check(text)
    assert status == 0, printed


def test_the_pod_fits_its_configuration() -> None:
    settings = yaml.safe_load(kubernetes("ConfigMap")["data"]["remora.yaml"])
    pod = kubernetes("Deployment")["spec"]["template"]
    (remora,) = (each for each in pod["spec"]["containers"] if each["name"] == "remora")
    (server,) = (each for each in pod["spec"]["containers"] if each["name"] == "server")
    ports = {each["name"]: each["containerPort"] for each in remora["ports"]}
    assert settings["listen"]["address"] == f":{ports['mcp']}"
    assert settings["admin"]["address"] == f":{ports['admin']}", "probes come from the node"
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(ports["admin"])
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert remora[probe]["httpGet"] == {"path": path, "port": "admin"}
    timeout = int(settings["limits"]["shutdown_timeout"].removesuffix("s"))
    pause = remora["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert timeout + pause <= server["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert server["lifecycle"]["preStop"]["sleep"]["seconds"] < pod["spec"]["terminationGracePeriodSeconds"]
    (service,) = kubernetes("Service")["spec"]["ports"]
    assert service["targetPort"] in ports
    (volume,) = pod["spec"]["volumes"]
    assert volume["configMap"]["name"] == kubernetes("ConfigMap")["metadata"]["name"]


def test_compose_names_what_is_there() -> None:
    folder = ROOT / "docker"
    compose = yaml.safe_load((folder / "compose.yaml").read_text())
    services = compose["services"]
    stages = re.findall(r"^FROM \S+(?: AS (\S+))?$", (folder / "Dockerfile").read_text(), re.M)
    for service in services.values():
        for volume in service.get("volumes", []):
            assert (folder / volume.split(":")[0]).is_file(), volume
        if build := service.get("build"):
            assert (folder / build["context"] / build["dockerfile"]).is_file()
            assert build.get("target") in (*filter(None, stages), None)
        if (mode := service.get("network_mode", "")).startswith("service:"):
            assert mode.removeprefix("service:") in services
        for other in service.get("depends_on", {}):
            assert other in services
    upstream = re.findall(r"^\s*server (\S+):(\d+)[ ;]", (folder / "nginx.conf").read_text(), re.M)
    listen = yaml.safe_load((folder / "remora.yaml").read_text())["listen"]["address"]
    assert sorted(name for name, _ in upstream) == sorted(name for name in services if name.startswith("server-"))
    assert {f":{port}" for _, port in upstream} == {listen}


def test_compose_names_its_replicas() -> None:
    folder = ROOT / "docker"
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    settings = yaml.safe_load((folder / "remora.yaml").read_text())["replicas"]
    port = settings["address"].removeprefix(":")
    found = {
        service["environment"]["REMORA_REPLICA"]: f"http://{service['network_mode'].removeprefix('service:')}:{port}"
        for service in services.values()
        if "environment" in service
    }
    assert found == settings["peers"]
    secrets = yaml.safe_load((folder / "compose.yaml").read_text())["secrets"]
    assert settings["keys"] == [f"/run/secrets/{name}" for name in secrets]


def test_the_image_copies_what_it_may_read() -> None:
    allowed = (ROOT / "docker/Dockerfile.dockerignore").read_text().split()
    assert allowed[0] == "*"
    for source in re.findall(r"^COPY (?!--from)(\S+) ", (ROOT / "docker/Dockerfile").read_text(), re.M):
        assert (ROOT / source).exists() and f"!{source}" in allowed, source


async def test_the_health_check_of_the_image() -> None:
    script = str(ROOT / "docker/healthcheck")

    async def healthy(port: str) -> bool:
        async with await Process.start(script, env={"REMORA_ADMIN_PORT": port}) as process:
            return await process.wait() == 0

    async with RawBackend() as raw, Remora(configuration(raw.url, admin={"address": "127.0.0.1:0"})) as remora:
        port = (await remora.process.event("admin_listening"))["address"].rpartition(":")[2]
        assert await healthy(port)
        assert not await healthy(remora.address.rpartition(":")[2]), "this is no admin listener"
    assert not await healthy(port)


async def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian package systemd)")
    text = (ROOT / "conf/systemd/remora.service").read_text()
    assert text.count("/usr/local/bin/remora") >= 2
    unit = tmp_path / "remora.service"
    text = text.replace("/usr/local/bin/remora", os.path.abspath(binary("remora")))
    # Of this machine, which need not have the unit's own.
    unit.write_text(re.sub(r"^(User|Group)=remora$", r"\1=root", text, flags=re.M))
    async with await Process.start("systemd-analyze", "verify", "--man=no", str(unit)) as process:
        assert await process.wait() == 0, process.tail()
        assert not [line for line in process.lines if "remora.service" in line], process.tail()


def test_the_unit_has_the_user_that_comes_with_it() -> None:
    unit = (ROOT / "conf/systemd/remora.service").read_text()
    (line,) = (each for each in (ROOT / "conf/systemd/sysusers.conf").read_text().splitlines() if each[0] != "#")
    kind, user, number, _, home = shlex.split(line)
    assert (kind, number) == ("u", "-") and f"\nUser={user}\nGroup={user}\n" in unit
    assert home == f"/var/cache/{user}" and f"\nCacheDirectory={user}\n" in unit


def test_the_version_is_the_newest_of_the_changelog() -> None:
    printed = subprocess.run([binary("remora"), "version"], capture_output=True, text=True, check=True, timeout=10).stdout
    heading = re.search(r"^## (\S+?),", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert heading is not None and printed.startswith(f"remora {heading[1]},")


def test_the_package_has_what_the_unit_and_the_shells_look_for(tmp_path: Path) -> None:
    """What the package does when it is installed is looked at by Tests/debian-package, which needs a system of its own."""
    root = tmp_path / "root"
    subprocess.run([ROOT / "conf/package/stage", Path(binary("remora")).parent, "/usr", root], check=True, timeout=100)
    unit = (root / "usr/lib/systemd/system/remora.service").read_text()
    for program in re.findall(r"^Exec\w+=(\S+)", unit, re.M):
        assert program == "/bin/sh" or (root / program.removeprefix("/")).is_file(), program
    assert "/usr/local" not in unit
    done = subprocess.run(
        [root / "usr/bin/remora", "check", "-c", root / "usr/share/doc/remora/examples/remora.yaml"], capture_output=True, timeout=10)
    assert done.returncode == 0, done
    page = (ROOT / "conf/man/remora.1").read_text()
    for path in re.findall(r"^\\fI(/usr\S+)\\fR$", page, re.M):
        assert (root / path.removeprefix("/")).is_file(), path


def archive(umask: int) -> dict[str, bytes]:
    """What the script makes, with these rights for what it creates, and none of what was there before."""
    folder = ROOT / ".build/package"
    for path in folder.glob("remora-*"):
        path.unlink()
    subprocess.run([ROOT / "conf/package/archive", Path(binary("remora")).parent], check=True, timeout=300, umask=umask)
    return {path.name: path.read_bytes() for path in folder.glob("remora-*")}


@pytest.mark.timeout(600)
def test_the_archive_is_the_same_each_time_and_says_what_is_in_it() -> None:
    if b"libswiftCore.so" in Path(binary("remora")).read_bytes():
        pytest.skip("a debug build is linked with the toolchain, and nothing to be shipped")
    first = archive(0o022)
    assert first == archive(0o077)
    bill, packed = (next(text for name, text in first.items() if name.endswith(end)) for end in (".cdx.json", ".tar.gz"))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        members = tar.getmembers()
        (program,) = (each for each in members if each.name.endswith("/bin/remora"))
        assert tar.extractfile(program).read() == Path(binary("remora")).read_bytes()  # type: ignore[union-attr]
    assert {(each.uid, each.gid, each.mode & 0o7022) for each in members} == {(0, 0, 0)}
    (top,) = {each.name.split("/")[0] for each in members}
    assert f"{top}/lib/systemd/system/remora.service" in {each.name for each in members}
    document = json.loads(bill)
    for problem in cyclonedx().iter_errors(document):
        raise AssertionError(f"{problem.json_path}: {problem.message}")
    digest = hashlib.sha256(Path(binary("remora")).read_bytes()).hexdigest()
    assert document["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    # With what Tests/linkage expects, as Debian calls it.
    assert {"swift-stdlib", "libevent-2.1-7", "libssl3", "libyaml-0-2", "libhiredis0.14", "libstdc++6", "libc6"} <= {
        each["name"] for each in document["components"]
    }


def cyclonedx() -> Draft7Validator:
    """The schema of CycloneDX 1.6, which the library for it comes with, and which refers to two others."""
    (folder,) = (VENVS / "sbom/lib").glob("python3*/site-packages/cyclonedx/schema/_res")
    names = ("bom-1.6.SNAPSHOT.schema.json", "spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    bill, *others = (json.loads((folder / name).read_text()) for name in names)
    # They are referred to by their names, beside the one that refers.
    del bill["$id"]
    registry = Registry().with_resources(zip(names[1:], map(Resource.from_contents, others)))
    return Draft7Validator(bill, registry=registry)

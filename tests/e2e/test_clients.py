# SPDX-License-Identifier: Apache-2.0
"""The released clients against the running service, without Keystone, on real image files."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

MIB = 1 << 20
FORMATS = ("qcow2", "raw", "vmdk", "vhdx", "iso")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One real file for each disk format, with data in it."""
    folder = tmp_path_factory.mktemp("images")
    raw = folder / "disk.raw"
    raw.write_bytes(os.urandom(2 * MIB) + bytes(6 * MIB))
    files = {"raw": raw}
    for disk_format in ("qcow2", "vmdk", "vhdx"):
        files[disk_format] = folder / f"disk.{disk_format}"
        command = ["qemu-img", "convert", "-f", "raw", "-O", disk_format]
        subprocess.run([*command, raw, files[disk_format]], check=True)
    files["iso"] = folder / "disk.iso"
    command = ["xorriso", "-as", "mkisofs", "-quiet", "-o", files["iso"], raw]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return files


class Client:
    """A command of one of the released clients, pointed at the service."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self._environment = {
            key: value for key, value in os.environ.items() if not key.startswith("OS_")
        }

    def run(self, *command: str | Path) -> str:
        """Run it; what it prints is returned, and an error fails the test."""
        program, *arguments = map(str, command)
        done = subprocess.run(
            [str(self._folder / program), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def openstack(self, *arguments: str | Path) -> str:
        return self.run(
            "openstack", "--os-auth-type", "none", "--os-endpoint", self._url, *arguments
        )

    def glance(self, *arguments: str | Path) -> str:
        return self.run(
            "glance", "--os-auth-token", "none", "--os-image-url", self._url, *arguments
        )

    def python(self, code: str, *arguments: str | Path) -> str:
        return self.run("python", "-c", textwrap.dedent(code), self._url, *arguments)


@pytest.fixture
def client(clients: Path, service: Any) -> Client:
    return Client(clients, service.url)


@pytest.mark.timeout(400)  # each command is a process of its own
def test_openstackclient(client: Client, images: dict[str, Path], tmp_path: Path) -> None:
    for disk_format, file in images.items():
        made = json.loads(
            client.openstack(
                "image", "create", "--disk-format", disk_format, "--container-format", "bare",
                "--file", file, "--property", "colour=blue", f"os-{disk_format}", "-f", "json",
            )
        )  # fmt: skip
        assert made["status"] == "active" or made["name"] == f"os-{disk_format}"
        back = tmp_path / f"back.{disk_format}"
        client.openstack("image", "save", "--file", back, f"os-{disk_format}")
        assert back.read_bytes() == file.read_bytes()
    listed = json.loads(client.openstack("image", "list", "-f", "json"))
    assert {(row["Name"], row["Status"]) for row in listed} == {
        (f"os-{disk_format}", "active") for disk_format in images
    }
    client.openstack("image", "set", "--property", "size_class=large", "--tag", "x", "os-raw")
    client.openstack("image", "set", "--name", "renamed", "os-raw")
    shown = json.loads(client.openstack("image", "show", "renamed", "-f", "json"))
    assert shown["properties"]["size_class"] == "large"
    assert shown["properties"]["colour"] == "blue"
    assert shown["tags"] == ["x"]
    client.openstack("image", "unset", "--property", "colour", "--tag", "x", "renamed")
    client.openstack("image", "delete", "renamed")
    assert "renamed" not in client.openstack("image", "list")


def test_glanceclient(client: Client, images: dict[str, Path], tmp_path: Path) -> None:
    file = images["qcow2"]
    client.glance(
        "image-create", "--name", "g", "--disk-format", "qcow2", "--container-format", "bare",
        "--file", file, "--property", "colour=blue",
    )  # fmt: skip
    row = next(line for line in client.glance("image-list").splitlines() if " g " in line)
    image_id = row.split("|")[1].strip()
    shown = client.glance("image-show", image_id)
    assert "active" in shown
    assert "blue" in shown
    back = tmp_path / "back"
    client.glance("image-download", "--file", back, image_id)
    assert back.read_bytes() == file.read_bytes()
    client.glance("image-update", "--property", "colour=red", image_id)
    client.glance("image-tag-update", image_id, "t")
    assert "red" in client.glance("image-show", image_id)
    client.glance("image-tag-delete", image_id, "t")
    client.glance("image-delete", image_id)
    assert image_id not in client.glance("image-list")


SDK = """
    import sys, openstack
    url, path = sys.argv[1:]
    cloud = openstack.connect(auth_type="none", endpoint=url, image_api_version="2")
    data = open(path, "rb").read()
    made = cloud.image.create_image(
        "sdk", filename=path, disk_format="qcow2", container_format="bare", wait=True, timeout=30,
        allow_duplicates=True,
    )
    assert cloud.image.get_image(made.id).status == "active"
    assert cloud.image.find_image("sdk").id == made.id
    assert cloud.image.download_image(made.id).content == data
    cloud.image.update_image(made.id, colour="blue")
    assert cloud.image.get_image(made.id).properties["colour"] == "blue"
    cloud.image.add_tag(made.id, "t")
    assert [image.id for image in cloud.image.images(tag="t")] == [made.id]
    cloud.image.remove_tag(made.id, "t")
    cloud.image.delete_image(made.id)
    assert cloud.image.find_image("sdk") is None
    print("done")
"""


def test_openstacksdk(client: Client, images: dict[str, Path]) -> None:
    assert client.python(SDK, images["qcow2"]).strip().endswith("done")


def test_curl(service: Any, images: dict[str, Path], tmp_path: Path) -> None:
    image_id = service.create("vmdk")
    file, back, part = images["vmdk"], tmp_path / "back", tmp_path / "part"
    url = f"{service.url}/v2/images/{image_id}/file"
    curl = ["curl", "--silent", "--show-error", "--fail"]
    octets = ["-H", "Content-Type: application/octet-stream"]
    chunked = ["-H", "Transfer-Encoding: chunked"]
    subprocess.run([*curl, *octets, *chunked, "-T", str(file), url], check=True)
    subprocess.run([*curl, "-o", str(back), url], check=True)
    assert back.read_bytes() == file.read_bytes()
    subprocess.run([*curl, "-r", "1000-1999", "-o", str(part), url], check=True)
    assert part.read_bytes() == file.read_bytes()[1000:2000]

# SPDX-License-Identifier: Apache-2.0
"""Copies that rot in a file store and in a real S3 server: found in one audit, and repaired."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from glancekit.cli import cli

DATA = os.urandom(3 << 20)

CONFIG = """
[DEFAULT]
enabled_backends = cloud:s3, local:file
show_multiple_locations = true
[glance_store]
default_backend = local
[auditor]
enabled = {enabled}
cycle = 0
interval = 1
bandwidth = {bandwidth}
[cloud]
weight = 10
s3_store_host = {url}
s3_store_bucket = {bucket}
s3_store_access_key = key
s3_store_secret_key = a-secret-that-nobody-sees
s3_store_bucket_url_format = path
"""


@pytest.fixture(scope="module")
def make(make_lasting_service: Callable[..., Any], s3: Any) -> Callable[..., Any]:
    """Start a service whose auditor is on, or off so that a command does its work."""

    def start(enabled: bool, bandwidth: str = "0", bucket: str = "images") -> Any:
        text = CONFIG.format(url=s3.url, enabled=enabled, bandwidth=bandwidth, bucket=bucket)
        service = make_lasting_service(text)
        service.start()
        return service

    return start


@pytest.fixture(scope="module")
def audited(make: Callable[..., Any]) -> Any:
    """A service that reads every copy in every round."""
    return make(True)


def stored_once(service: Any) -> tuple[str, Path]:
    """Make an image in the file store; return its id and its file."""
    image_id: str = service.create()
    assert service.upload(image_id, DATA).status_code == 204
    (file,) = [file for file in service.files() if file.name == image_id]
    return image_id, file


def stored_twice(service: Any, s3: Any, bucket: str = "images") -> tuple[str, Path]:
    """Make an image with a copy in each store."""
    image_id, file = stored_once(service)
    s3.client().put_object(Bucket=bucket, Key=image_id, Body=DATA)
    place = {"url": f"s3://{s3.host}/{bucket}/{image_id}", "metadata": {"store": "cloud"}}
    answer = requests.patch(
        f"{service.url}/v2/images/{image_id}",
        data=json.dumps([{"op": "add", "path": "/locations/-", "value": place}]),
        headers={"Content-Type": "application/openstack-images-v2.1-json-patch"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return image_id, file


def flip(file: Path) -> None:
    """Change a byte in the middle, as a rotten disk does."""
    file.chmod(0o640)
    with file.open("r+b") as opened:
        opened.seek(len(DATA) // 2)
        opened.write(bytes([DATA[len(DATA) // 2] ^ 1]))


def command(service: Any, *words: str) -> tuple[int, Any]:
    """Run a command beside the service, in this process; return its exit code and its JSON."""
    here = service.config.with_suffix(".here")
    here.write_text(f"[DEFAULT]\ndata_dir = {service.data_dir}\n")
    files = ["--config-file", str(service.config), "--config-file", str(here)]
    done = CliRunner().invoke(cli, [*files, *words])
    assert done.exit_code in (0, 1), done.output
    return done.exit_code, json.loads(done.stdout)


@pytest.mark.parametrize("rot", [flip, Path.unlink])
def test_a_rotten_copy_of_two_is_found_repaired_verified_and_logged(
    audited: Any, s3: Any, rot: Callable[[Path], None]
) -> None:
    image_id, file = stored_twice(audited, s3)
    rot(file)
    audited.wait_for(lambda: file.exists() and file.read_bytes() == DATA)
    audited.wait_for(lambda: f"image {image_id}, store local: the copy was" in audited.log)
    assert "and was replaced by a good one" in audited.log
    assert audited.download(image_id) == DATA
    assert "os_glance_damaged" not in audited.show(image_id)


def test_a_rotten_object_in_s3_is_repaired_from_the_file(audited: Any, s3: Any) -> None:
    image_id, _ = stored_twice(audited, s3)
    s3.client().put_object(Bucket="images", Key=image_id, Body=DATA[:-1] + b"!")

    def is_whole() -> bool:
        client = s3.client()
        try:
            found = client.get_object(Bucket="images", Key=image_id)["Body"].read()
        except client.exceptions.NoSuchKey:  # the bad one has gone, the good one not come
            return False
        return bool(found == DATA)

    audited.wait_for(is_whole)
    audited.wait_for(lambda: f"image {image_id}, store cloud: the copy was bad" in audited.log)


@pytest.mark.parametrize("rot", [flip, Path.unlink])
def test_without_another_copy_the_download_is_refused_and_the_event_sent(
    audited: Any, rot: Callable[[Path], None]
) -> None:
    image_id, file = stored_once(audited)
    rot(file)
    audited.wait_for(lambda: audited.show(image_id).get("os_glance_damaged") == "true")
    answer = requests.get(f"{audited.url}/v2/images/{image_id}/file", timeout=60)
    assert answer.status_code == 409
    assert "damaged" in answer.text
    audited.wait_for(lambda: f"image.damaged {image_id}" in audited.log)


def test_a_repair_that_was_killed_is_done_by_whoever_comes_next(
    make: Callable[..., Any], s3: Any
) -> None:
    """Killed when the bad bytes are gone and the good ones take another second to come."""
    service = make(True, bandwidth="3MB")
    image_id, file = stored_twice(service, s3)
    flip(file)
    service.wait_for(lambda: not file.exists())
    service.kill()
    service.start()
    service.wait_for(lambda: file.exists() and file.read_bytes() == DATA)
    service.wait_for(lambda: "and was replaced by a good one" in service.log)
    assert {path.name for path in service.files()} == {image_id}
    assert service.download(image_id) == DATA


def test_a_command_audits_repairs_and_reports(make: Callable[..., Any], s3: Any) -> None:
    service = make(False)
    whole, rotten = stored_twice(service, s3)
    lost, only = stored_once(service)
    flip(rotten)
    flip(only)
    assert command(service, "audit", "report", "-f", "json") == (0, [])
    code, rows = command(service, "audit", "run", whole, "-f", "json")
    assert code == 0
    assert {row["store"]: (row["finding"], row["repaired"]) for row in rows} == {
        "local": ("good", True),
        "cloud": ("good", False),
    }
    code, rows = command(service, "audit", "run", lost, "-f", "json")
    assert (code, rows[0]["finding"], rows[0]["repaired"]) == (1, "bad", False)
    code, rows = command(service, "audit", "report", "--records", "-f", "json")
    assert code == 1
    assert [(row["kind"], row["image"], row["damaged"]) for row in rows] == [("bad", lost, True)]
    code, rows = command(service, "audit", "show", whole, "-f", "json")
    assert (code, [row["finding"] for row in rows]) == (0, ["good", "good"])
    code, rows = command(service, "audit", "report", "--stores", "-f", "json")
    assert (code, [row["available"] for row in rows]) == (0, [True, True])


def test_data_without_a_record_is_listed_and_removed_by_a_command_alone(
    make: Callable[..., Any], s3: Any
) -> None:
    bucket = "orphans"  # the services of other tests mend what is theirs in the other one
    s3.client().create_bucket(Bucket=bucket)
    service = make(False, bucket=bucket)
    kept, file = stored_twice(service, s3, bucket)
    stray, other = str(uuid.uuid4()), str(uuid.uuid4())
    (file.parent / stray).write_bytes(b"nobody's")
    s3.client().put_object(Bucket=bucket, Key=other, Body=b"nobody's either")
    assert command(service, "audit", "orphans", "-f", "json") == (0, []), "it is too new"
    orphans = ("audit", "orphans", "--older", "0", "-f", "json")
    code, rows = command(service, *orphans)
    assert code == 1
    assert {(row["store"], row["image"], row["removed"]) for row in rows} == {
        ("local", stray, False),
        ("cloud", other, False),
    }
    code, rows = command(service, *orphans, "--store", "local", "--delete")
    assert (code, [(row["image"], row["removed"]) for row in rows]) == (0, [(stray, True)])
    code, rows = command(service, *orphans, "--delete")
    assert (code, [(row["image"], row["removed"]) for row in rows]) == (0, [(other, True)])
    assert {path.name for path in service.files()} == {kept}
    assert s3.client().get_object(Bucket=bucket, Key=kept)["Body"].read() == DATA
    assert service.download(kept) == DATA
    service.wait_for(lambda: "store.orphan.removed cloud" in service.log)


def test_from_a_store_that_the_records_hardly_know_nothing_is_removed(
    make: Callable[..., Any],
) -> None:
    service = make(False)
    _, file = stored_once(service)
    strays = {str(uuid.uuid4()) for _ in range(12)}
    for name in strays:
        (file.parent / name).write_bytes(b"another service's")
    orphans = ("audit", "orphans", "--older", "0", "-f", "json", "--store", "local", "--delete")
    assert command(service, *orphans) == (1, [])
    assert strays <= {path.name for path in service.files()}
    code, rows = command(service, *orphans, "--most", "--limit", "3", "--per-second", "1000")
    assert (code, len(rows)) == (0, 3)
    assert not strays & {path.name for path in service.files()}

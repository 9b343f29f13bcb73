# SPDX-License-Identifier: Apache-2.0
"""How nova and cinder clone images in Ceph: by ``direct_url``, with keys of their own; what delete
answers meanwhile, and that all space comes back. A real Ceph.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from glancekit_rbd_store.bindings import bindings
from glancekit_rbd_store.testing import Cluster

DATA = os.urandom(1 << 20) * 10


@pytest.fixture
def service(ceph: Cluster, make_service: Callable[..., Any]) -> Any:
    """A service whose store is the Ceph; it shows where images are."""
    service = make_service(
        "[DEFAULT]\nenabled_backends = ceph:rbd\nshow_image_direct_url = true\n"
        "[glance_store]\ndefault_backend = ceph\n"
        f"[ceph]\nrbd_store_ceph_conf = {ceph.conf}\nrbd_store_user = glance\n"
    )
    service.start()
    return service


@pytest.fixture
def new_clones(ceph: Cluster) -> Iterator[None]:
    """Have clones of the new format (v2), as clusters do whose clients are all newer."""
    ceph.command("osd set-require-min-compat-client", version="mimic")
    ceph.disconnect()  # a client decides on the format when it connects
    yield
    ceph.command("osd set-require-min-compat-client", version="jewel", yes_i_really_mean_it=True)
    ceph.disconnect()


@pytest.fixture
def volumes(ceph: Cluster) -> Iterator[Any]:
    """The pool of the clones, as their service sees it."""
    with ceph.client("cinder").open_ioctx("volumes") as volumes:
        yield volumes
        for name in bindings().rbd.RBD().list(volumes):
            bindings().rbd.RBD().remove(volumes, name)


def clone(ceph: Cluster, image: dict[str, Any], volumes: Any, name: str) -> None:
    """Do what nova and cinder do: see that it is raw and in their cluster, then clone."""
    rbd, cinder = bindings().rbd, ceph.client("cinder")
    scheme, _, rest = image["direct_url"].partition("://")
    fsid, pool, parent, snapshot = rest.split("/")
    assert (scheme, fsid, image["disk_format"]) == ("rbd", cinder.get_fsid(), "raw")
    with cinder.open_ioctx(pool) as images:
        rbd.Image(images, parent, snapshot=snapshot, read_only=True).close()
        features = rbd.RBD_FEATURE_LAYERING
        rbd.RBD().clone(images, parent, snapshot, volumes, name, features=features)
    with rbd.Image(volumes, name) as image_of_theirs:
        image_of_theirs.resize(image["size"] * 2)


def read(volumes: Any, name: str) -> bytes:
    with bindings().rbd.Image(volumes, name, read_only=True) as image:
        return bytes(image.read(0, len(DATA)))


def let_go(volumes: Any, name: str, ending: str) -> None:
    """End a clone's need of the image."""
    if ending == "flattened":
        with bindings().rbd.Image(volumes, name) as image:
            image.flatten()
    else:
        bindings().rbd.RBD().remove(volumes, name)


def objects_of_images(ceph: Cluster) -> list[str]:
    with ceph.client("glance").open_ioctx("images") as images:
        return [each.key for each in images.list_objects() if "rbd_data" in each.key]


def trash(ceph: Cluster) -> list[str]:
    with ceph.client("glance").open_ioctx("images") as images:
        return [entry["name"] for entry in bindings().rbd.RBD().trash_list(images)]


def delete(service: Any, image_id: str) -> int:
    return int(requests.delete(f"{service.url}/v2/images/{image_id}", timeout=60).status_code)


@pytest.mark.parametrize("ending", ["flattened", "removed"])
def test_clones_of_the_old_format_keep_their_image(
    service: Any, ceph: Cluster, volumes: Any, ending: str
) -> None:
    image_id = service.create()
    assert service.upload(image_id, DATA).status_code == 204
    names = [f"{uuid.uuid4()}_disk", f"volume-{uuid.uuid4()}"]
    for name in names:
        clone(ceph, service.show(image_id), volumes, name)

    for name in names:
        assert delete(service, image_id) == 409
        assert service.status(image_id) == "active"
        assert service.download(image_id) == DATA
        assert read(volumes, name) == DATA
        let_go(volumes, name, ending)

    assert delete(service, image_id) == 204
    assert objects_of_images(ceph) == []


@pytest.mark.usefixtures("new_clones")
@pytest.mark.parametrize("ending", ["flattened", "removed"])
def test_clones_of_the_new_format_let_the_image_go_and_its_space_comes_back(
    service: Any, ceph: Cluster, volumes: Any, ending: str
) -> None:
    image_id = service.create()
    assert service.upload(image_id, DATA).status_code == 204
    names = [f"{uuid.uuid4()}_disk", f"volume-{uuid.uuid4()}"]
    for name in names:
        clone(ceph, service.show(image_id), volumes, name)

    assert delete(service, image_id) == 204
    assert requests.get(f"{service.url}/v2/images/{image_id}", timeout=60).status_code == 404
    for name in names:
        assert trash(ceph) == [image_id]
        assert read(volumes, name) == DATA
        let_go(volumes, name, ending)

    # Every ten minutes by itself; who does not want to wait says so.
    command = [sys.executable, "-m", "glancekit.cli", "--config-file", str(service.config)]
    command += ["periodic", "run", "sweeping"]
    where = {"OS_DEFAULT__DATA_DIR": str(service.data_dir)}
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=os.environ | where)
    service.wait_for(lambda: trash(ceph) == [])
    assert objects_of_images(ceph) == []

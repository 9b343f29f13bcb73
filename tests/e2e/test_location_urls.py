# SPDX-License-Identifier: Apache-2.0
"""Every form of a location's URL that upstream writes, or has written, is its store's: all stores
in one table. That ours are written byte for byte alike is shown by the stores' own tests, beside
upstream's library. No server is needed: a URL that a store takes has it look for the data, and
nobody is there.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from glancekit.core import drivers
from glancekit.core.errors import BlobNotFound, StoreDenied, StoreUnavailable
from glancekit.core.model.image import Location
from glancekit.core.options import service_options
from glancekit.core.survey import installed
from glancekit.core.urifilter import FILTER_SECTION

IMAGE = "71c675ab-d94f-49cd-a114-e12490b328d9"

OPTIONS: dict[str, dict[str, Any]] = {
    "file": {"filesystem_store_datadir": "{folder}"},
    "http": {},
    "rbd": {"rbd_store_ceph_conf": "/nonexistent/ceph.conf"},
    "swift": {
        "swift_store_auth_address": "http://{host}/v3",
        "swift_store_user": "service:glance",
        "swift_store_key": "key",
        "swift_store_retry_get_count": 0,
        "swift_store_former_auth_addresses": ["https://{host}/v2.0"],
    },
    "s3": {
        "s3_store_host": "http://{host}",
        "s3_store_bucket": "images",
        "s3_store_access_key": "access",
        "s3_store_secret_key": "secret",
    },
    "vmware": {
        "vmware_server_host": "{host}",
        "vmware_server_username": "user",
        "vmware_server_password": "password",
        "vmware_datastores": ["dc 1/dc2:store1"],
        "vmware_api_retry_count": 1,
        "vmware_insecure": True,
    },
}

TAKEN = (
    ("file", "file://{folder}/{id}"),
    ("file", "filesystem://{folder}/{id}"),
    ("http", "http://{host}/any/image.qcow2"),
    ("http", "http://user:pass@{host}/any?x=y"),
    ("http", "https://{host}/image"),
    ("rbd", "rbd://{id}"),
    ("rbd", "rbd://b0849a66-357e-4428-a84c-f5ccd277c076/images/{id}/snap"),
    ("rbd", "rbd://b0849a66-357e-4428-a84c-f5ccd277c076/a%20pool/an%2Fimage/a%20snap"),
    ("swift", "swift://tenant%3Auser:key@{host}/v2.0/images/{id}"),
    ("swift", "swift+http://tenant%3Auser:key@{host}/v3/images/{id}"),
    ("swift", "swift+https://tenant%3Auser:key@{host}/v2.0/images/{id}"),
    ("swift", "swift+config://ref1/images/{id}"),
    ("s3", "s3://{host}/images/{id}"),
    ("s3", "s3+http://{host}/images/{id}"),
    ("s3", "s3+https://{host}/images/{id}"),
    ("s3", "s3://access:secret@{host}/images/{id}"),
    ("s3", "s3+https://access:sec/ret@{host}/images/{id}"),
    ("vmware", "vsphere://{host}/folder/openstack_glance/{id}?dcPath=dc+1%2Fdc2&dsName=store1"),
    ("vmware", "vsphere://{host}/folder/openstack_glance/{id}?dsName=store1&dcPath=dc 1/dc2"),
    ("vmware", "vsphere://{host}/folder/openstack_glance/{id}?dsName=store1"),
)

REFUSED = (
    ("file", "file:///etc/passwd"),
    ("http", "ftp://{host}/image"),
    ("http", "http://{host}x/image"),
    ("rbd", "rbd://pool/image"),
    ("rbd", "rbd://fsid/pool/image/snap/more"),
    ("swift", "swift+https://https://tenant%3Auser:key@{host}/v2.0/images/{id}"),
    ("swift", "swift+config://ref9/images/{id}"),
    ("s3", "s3+https://http://{host}/images/{id}"),
    ("s3", "s3://{host}/images2/{id}"),
    ("vmware", "vsphere://{host}/folder/elsewhere/{id}?dcPath=dc1&dsName=store1"),
)


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """An address at which nobody listens: bound, so that nobody else gets it either."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{kept.getsockname()[1]}"


def filled(value: Any, **facts: str) -> Any:
    if isinstance(value, list):
        return [filled(each, **facts) for each in value]
    return value.format(**facts) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def stores(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A driver of each kind, and what their URLs are made of."""
    folder = tmp_path_factory.mktemp("images")
    facts = {"host": host, "folder": str(folder), "id": IMAGE}
    allowed = {option.dest: option.default for option in service_options()[FILTER_SECTION]}
    allowed |= {"allowed_hosts": ["127.0.0.1"], "allowed_ports": [], "allow_private": True}
    made = {}
    for name, kind in installed(drivers.STORES, deadline=30.0).items():
        if name in OPTIONS:
            values = {option.dest: option.default for option in kind.options}
            values |= {key: filled(value, **facts) for key, value in OPTIONS[name].items()}
            options = SimpleNamespace(**values, **{FILTER_SECTION: SimpleNamespace(**allowed)})
            made[name] = kind(options, name=name)
    yield {**made, "facts": facts}
    for driver in made.values():
        driver.close()


def ask(stores: dict[str, Any], kind: str, url: str) -> None:
    if kind not in stores:
        pytest.skip(f"glancekit-{kind}-store is not installed")
    Path(stores["facts"]["folder"]).mkdir(exist_ok=True)
    stores[kind].size(Location(url=url.format(**stores["facts"]), image_id=IMAGE))


@pytest.mark.parametrize(("kind", "url"), TAKEN)
def test_a_store_takes_every_form_of_its_urls(stores: dict[str, Any], kind: str, url: str) -> None:
    with pytest.raises((BlobNotFound, StoreUnavailable)):
        ask(stores, kind, url)


@pytest.mark.parametrize(("kind", "url"), REFUSED)
def test_a_store_refuses_what_is_not_its_own(stores: dict[str, Any], kind: str, url: str) -> None:
    with pytest.raises(StoreDenied):
        ask(stores, kind, url)

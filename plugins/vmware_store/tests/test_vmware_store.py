# SPDX-License-Identifier: Apache-2.0
"""What is the VMware store's own: locations, datastores with weights, certificates, sessions."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import ssl
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_vmware_store.driver import VmwareStore
from glancekit_vmware_store.options import Datastore
from glancekit_vmware_store.places import Place
from glancekit_vmware_store.testing import DATASTORES, Simulator
from glancekit_vmware_store.vcenter import Found, Session, VCenter, _find
from pyVmomi import SoapStubAdapter, vim, vmodl

from glancekit.plugin import (
    BlobExists,
    BlobInUse,
    BlobNotFound,
    BlobUnavailable,
    ConfigError,
    FileStream,
    IteratorStream,
    Location,
    Remnant,
    StoreDenied,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
)
from glancekit.testing.waiting import wait_until

DATA = bytes(range(256)) * 8192
"""2 MiB: two chunks."""

SECRET = "very!secret$word"

Build = Callable[..., VmwareStore]
Files = Callable[[], list[Path]]


def put(driver: VmwareStore, data: bytes = DATA, image_id: str | None = None) -> Location:
    source = FileStream(io.BytesIO(data))
    return driver.write(image_id or str(uuid.uuid4()), source, len(data))


def read(driver: VmwareStore, url: str) -> bytes:
    with driver.open(Location(url=url)) as opened:
        return b"".join(opened)


def end_session(vcenter: Simulator, driver: VmwareStore) -> None:
    """End the driver's session, as an administrator can, or time."""
    cookie = driver._parts().vcenter.session().cookie
    host, _, port = vcenter.address.partition(":")
    trust = ssl.create_default_context(cafile=str(vcenter.ca_file))
    stub = SoapStubAdapter(host=host, port=int(port), sslContext=trust)
    manager = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent().sessionManager
    manager.Login("user", "pass", None)
    manager.TerminateSession([cookie.partition("=")[2].strip('"')])
    manager.Logout()
    stub.DropConnections()


# -- locations


def test_a_location_is_byte_for_byte_upstream_s(build: Build, vcenter: Simulator) -> None:
    driver, image_id = build(vmware_store_image_dir="/my images/"), str(uuid.uuid4())
    location = put(driver, image_id=image_id)
    assert location.url == (
        f"vsphere://{vcenter.address}/folder/my images/{image_id}?dsName=LocalDS_0&dcPath=DC0"
    )
    assert read(driver, location.url) == DATA
    driver.delete(location)


@pytest.mark.parametrize(
    "url",
    [
        "vsphere://{host}/folder/openstack_glance/{id}?dsName=LocalDS_0&dcPath=DC0",
        "vsphere://{host}/folder/openstack_glance/{id}?dcPath=DC0&dsName=LocalDS_0",
        "vsphere://{host}/folder/openstack_glance/{id}?dcPath=%2FDC0&dsName=LocalDS_0",
        "vsphere://{host}/folder/openstack_glance/{id}?dsName=LocalDS_0",
        "vsphere://Old.example.org/folder/openstack_glance/{id}?dsName=LocalDS_0&dcPath=DC0",
        "vsphere://u:p@{host}/folder/openstack_glance/{id}?dsName=LocalDS_0&dcPath=DC0",
    ],
)
def test_old_locations_are_read(build: Build, vcenter: Simulator, url: str) -> None:
    driver = build(vmware_former_hosts=["old.example.org"])
    location = put(driver)
    image_id = location.url.partition("?")[0].rpartition("/")[2]
    assert read(driver, url.format(host=vcenter.address, id=image_id)) == DATA
    driver.delete(location)


@pytest.mark.parametrize(
    "url",
    [
        "vsphere://elsewhere/folder/openstack_glance/1?dcPath=DC0&dsName=LocalDS_0",
        "vsphere://{host}/folder/machine/disk-flat.vmdk?dcPath=DC0&dsName=LocalDS_0",
        "vsphere://{host}/folder/openstack_glance/../machine/1?dcPath=DC0&dsName=LocalDS_0",
        "vsphere://{host}/folder/openstack_glance/?dcPath=DC0&dsName=LocalDS_0",
        "vsphere://{host}/folder/openstack_glancex/1?dcPath=DC0&dsName=LocalDS_0",
        "vsphere://{host}/sdk/openstack_glance/1?dcPath=DC0&dsName=LocalDS_0",
        "vsphere://{host}/folder/openstack_glance/1?dcPath=DC1&dsName=LocalDS_0",
        "vsphere://{host}/folder/openstack_glance/1?dcPath=DC0&dsName=LocalDS_1",
        "vsphere://{host}/folder/openstack_glance/1?dcPath=DC0",
        "vsphere://{host}/folder/openstack_glance/1",
        "vsphere://https://{host}/folder/openstack_glance/1?dcPath=DC0&dsName=LocalDS_0",
        "https://{host}/folder/openstack_glance/1?dcPath=DC0&dsName=LocalDS_0",
        "{host}",
    ],
)
def test_nothing_is_touched_but_images(build: Build, vcenter: Simulator, url: str) -> None:
    driver = build()
    location = Location(url=url.format(host=vcenter.address))
    for call in (
        lambda: driver.open(location),
        lambda: driver.open_range(location, 0, 1),
        lambda: driver.size(location),
        lambda: driver.delete(location),
    ):
        with pytest.raises(StoreDenied):
            call()


# -- options


@pytest.mark.parametrize(
    "options",
    [
        {"vmware_server_host": ""},
        {"vmware_server_host": "https://vcenter.example.org"},
        {"vmware_server_host": f"user:{SECRET}@vcenter.example.org"},
        {"vmware_server_host": "vcenter.example.org:http"},
        {"vmware_server_username": ""},
        {"vmware_server_password": ""},
        {"vmware_datastores": []},
        {"vmware_datastores": ["LocalDS_0"]},
        {"vmware_datastores": ["DC0:"]},
        {"vmware_datastores": [":LocalDS_0"]},
        {"vmware_datastores": ["DC0:LocalDS_0:heavy"]},
        {"vmware_datastores": ["DC0:LocalDS_0", "/DC0:LocalDS_0:3"]},
        {"vmware_store_image_dir": "/"},
        {"vmware_store_image_dir": "/images/../machines"},
        {"vmware_store_image_dir": "/images?"},
        {"vmware_ca_file": "/not/there"},
        {"vmware_server_thumbprint": "12:34"},
        {"vmware_server_thumbprint": "x" * 64},
        {"vmware_server_thumbprint": "0" * 64, "vmware_insecure": True},
    ],
)
def test_options_that_make_no_sense_are_told(build: Build, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        build(**options)
    (*_, name) = [name for name in options if name in str(raised.value)]
    assert name.startswith("vmware_")
    assert SECRET not in str(raised.value)


def test_a_host_may_have_a_number(build: Build) -> None:
    for given, netloc in (
        ("::1", "[::1]"),
        ("[::1]:8443", "[::1]:8443"),
        ("vc.example.org", "vc.example.org"),
    ):
        assert build(vmware_server_host=given).details()["vmware_server_host"] == netloc


def test_the_driver_is_imported_without_the_sdk() -> None:
    program = "import sys, glancekit_vmware_store.driver; print('pyVmomi' in sys.modules)"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "False\n"


# -- datastores


def test_the_heaviest_datastore_is_taken(build: Build, files: Files) -> None:
    for heavy, light in (DATASTORES, DATASTORES[::-1]):
        driver = build(vmware_datastores=[f"DC0:{light}:-5", f"DC0:{heavy}"])
        location = put(driver)
        assert [path.parts[-3] for path in files()] == [heavy]
        assert f"dsName={heavy}" in location.url
        driver.delete(location)


def test_an_image_is_known_in_whichever_datastore_it_is(build: Build, files: Files) -> None:
    """The weights may be others by the time it is written or discarded again."""
    both = [f"DC0:{name}" for name in DATASTORES]
    image_id = str(uuid.uuid4())
    put(build(vmware_datastores=both[:1]), image_id=image_id)
    driver = build(vmware_datastores=[both[0], f"{both[1]}:9"])
    with pytest.raises(BlobExists):
        put(driver, image_id=image_id)
    driver.discard(image_id)
    assert files() == []


def test_what_is_not_of_the_image_is_not_discarded(
    build: Build, vcenter: Simulator, files: Files
) -> None:
    driver, image_id = build(), str(uuid.uuid4())
    driver.discard(image_id)  # also where there is no folder yet
    location = put(driver)
    folder = vcenter.datastore() / "openstack_glance"
    kept = [folder / f"{image_id}x", folder / f"{image_id}.iso", folder / f"x{image_id}.1.part"]
    gone = [folder / image_id, folder / f"{image_id}.0123.part", folder / f"{image_id}.ab.part"]
    for path in kept + gone:
        path.touch()
    driver.discard(image_id)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)
    for path in kept:
        path.unlink()
    driver.delete(location)
    assert files() == []


def test_only_what_no_write_finished_is_swept(
    build: Build, vcenter: Simulator, files: Files
) -> None:
    driver, image_id = build(), str(uuid.uuid4())
    location = put(driver, image_id=image_id)
    folder = vcenter.datastore() / "openstack_glance"
    others = [folder / name for name in ("a.part", f"{image_id}.part", f"{image_id}.1.part")]
    for path in others:
        path.touch()
    assert driver.remnants(0) == []
    for name in (location.url, location.url.replace(image_id, "a.part"), "a.part"):
        with pytest.raises(StoreDenied):
            driver.sweep(Remnant(name, image_id))
    assert read(driver, location.url) == DATA
    for path in others:
        path.unlink()
    driver.delete(location)
    assert files() == []


def test_what_a_host_still_holds_is_not_discarded_yet(
    build: Build, files: Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As ESXi does after a transfer that broke off; no host of the simulator holds anything."""
    driver, image_id = build(), str(uuid.uuid4())
    driver.delete(put(driver))  # there is a folder
    delete, held = VCenter.delete, [".part"]

    def refuse(self: VCenter, place: Place) -> None:
        if place.name.endswith(tuple(held)):
            raise BlobInUse
        delete(self, place)

    def chunks() -> Iterator[bytes]:
        yield DATA
        raise RuntimeError("the source broke")

    monkeypatch.setattr(VCenter, "delete", refuse)
    monkeypatch.setattr("glancekit_vmware_store.writing._SETTLING", 0.2)
    with pytest.raises(RuntimeError):
        driver.write(image_id, IteratorStream(chunks()), None)
    (left,) = files()
    assert f"{left.name} is left in the datastore: a host still holds it" in caplog.text
    for _ in range(2):
        with pytest.raises(BlobUnavailable, match="still held by a host"):
            driver.discard(image_id)
    (remnant,) = driver.remnants(0)
    with pytest.raises(BlobUnavailable):
        driver.sweep(remnant)
    held[:] = [image_id]
    driver.discard(image_id)
    assert files() == []
    put(driver, image_id=image_id)
    with pytest.raises(BlobInUse):  # a machine has the image in its drive
        driver.discard(image_id)
    held.clear()
    driver.discard(image_id)
    assert files() == []


def test_the_folder_is_made_as_deep_as_it_is(build: Build, vcenter: Simulator) -> None:
    driver = build(vmware_store_image_dir="/made/for/images")
    for _ in range(2):
        location = put(driver)
        assert read(driver, location.url) == DATA
        driver.delete(location)
    assert (vcenter.datastore() / "made/for/images").is_dir()


def test_the_room_of_all_datastores_counts(build: Build) -> None:
    one, two = build(), build(vmware_datastores=[f"DC0:{name}" for name in DATASTORES])
    assert one.usage().total is not None
    assert two.usage().total == 2 * one.usage().total


@pytest.mark.parametrize("named", ["DC0:Nowhere", "DC9:LocalDS_0", "DC0/host:LocalDS_0"])
def test_a_datastore_that_is_away_is_not_a_lost_image(build: Build, named: str) -> None:
    driver = build(vmware_datastores=[named])
    datacenter, _, name = named.partition(":")
    url = put(build()).url
    away = Location(url=f"{url.partition('?')[0]}?dcPath={datacenter}&dsName={name}")
    for call in (
        driver.check,
        driver.usage,
        lambda: put(driver),
        lambda: driver.open(away),
        lambda: driver.size(away),
        lambda: driver.delete(away),
        lambda: driver.discard(str(uuid.uuid4())),
    ):
        with pytest.raises(StoreUnavailable):
            call()
    build().delete(Location(url=url))


def test_what_is_there_is_used_while_a_datastore_is_away(
    build: Build, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    """And what is not there is told by an error that the breaker of a store does not count."""
    driver = build(vmware_datastores=["DC0:LocalDS_0", "DC0:Nowhere:9"])
    image_id = str(uuid.uuid4())
    location = put(driver, image_id=image_id)
    away = Location(url=location.url.replace("LocalDS_0", "Nowhere"))
    elsewhere: list[Callable[[], object]] = [
        lambda: driver.open(away),
        lambda: driver.open_range(away, 1, 1),
        lambda: driver.size(away),
        lambda: driver.blob(away),
        lambda: driver.delete(away),
        lambda: driver.discard(str(uuid.uuid4())),
    ]
    for call in elsewhere:
        for _ in range(5):
            with pytest.raises(BlobUnavailable, match="Nowhere"):
                call()
        driver.check()
    assert read(driver, location.url) == DATA
    assert [blob.image_id for blob in driver.contents()] == [image_id]
    assert driver.remnants(0) == []
    assert driver.usage().total == build().usage().total
    driver.delete(location)
    assert files() == []
    assert caplog.text.count("does without the datastore Nowhere") == 1


def test_a_datastore_that_is_not_accessible_is_one_that_is_away(
    build: Build, files: Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of the simulator always are."""
    driver = build(vmware_datastores=["DC0:LocalDS_0", "DC0:LocalDS_1:9"])
    location = put(driver)
    assert "LocalDS_1" in location.url
    summary_of = VCenter._summary_of

    def lost(self: VCenter, datastore: Datastore) -> dict[str, Any]:
        seen = summary_of(self, datastore)
        return seen | {"summary.accessible": datastore.name != "LocalDS_1"}

    with monkeypatch.context() as patched:
        patched.setattr(VCenter, "_summary_of", lost)
        for _ in range(2):
            driver.check()
            assert "LocalDS_0" in put(driver).url
        assert {"LocalDS_0" in blob.url for blob in driver.contents()} == {True}
    driver.check()
    gone, back = [record.message for record in caplog.records]
    assert "does without the datastore LocalDS_1" in gone
    assert "LocalDS_1 can be used again" in back
    for path in files():
        path.unlink()


def test_what_a_write_left_is_discarded_while_another_datastore_is_away(
    build: Build, vcenter: Simulator, files: Files
) -> None:
    """Who began the write knows which datastore it chose; anybody else has to see both."""
    driver = build(vmware_datastores=["DC0:LocalDS_0", "DC0:Nowhere:9"])
    driver.delete(put(driver))  # there is a folder
    image_id = str(uuid.uuid4())
    left = vcenter.datastore() / "openstack_glance" / f"{image_id}.{uuid.uuid4().hex}.part"

    def chunks() -> Iterator[bytes]:
        yield DATA
        raise RuntimeError("the source broke")

    for size, error in ((None, RuntimeError), (1 << 60, StoreFull)):
        with pytest.raises(error):
            driver.write(image_id, IteratorStream(chunks()), size)
        left.touch()
        driver.discard(image_id)
        assert files() == []
    left.touch()
    with pytest.raises(BlobUnavailable, match="Nowhere"):
        driver.discard(image_id)
    assert files() == []


def test_a_datastore_that_is_called_otherwise_by_now_has_lost_no_image(
    build: Build, files: Files
) -> None:
    """The simulator cannot rename one: what is remembered is put there."""
    location = put(build())
    now = build()._parts().vcenter
    (datastore,) = build()._settings.datastores
    image_id = location.url.partition("?")[0].rpartition("/")[2]
    driver, old = build(vmware_datastores=["DC0:Old"]), Datastore("DC0", "Old")
    location = Location(url=location.url.replace("LocalDS_0", "Old"))
    for call in (
        driver.check,
        driver.usage,
        lambda: list(driver.contents()),
        lambda: driver.open(location),
        lambda: driver.open_range(location, 1, 1),
        lambda: driver.size(location),
        lambda: driver.blob(location),
        lambda: driver.delete(location),
        lambda: driver.discard(image_id),
        lambda: put(driver),
    ):
        driver._parts().vcenter._found[old] = now.find(datastore)
        with pytest.raises(StoreUnavailable):
            call()
    (path,) = files()
    path.unlink()


def test_a_datacenter_that_is_called_otherwise_by_now_has_lost_no_image(
    build: Build, files: Files
) -> None:
    driver = build()
    location = put(driver)
    rename_datacenter(driver, "DC9")
    try:
        for call in (
            lambda: driver.open(location),
            driver.check,
            lambda: driver.size(location),
            lambda: driver.blob(location),
            lambda: put(driver),
        ):
            with pytest.raises(StoreUnavailable):
                call()
    finally:
        rename_datacenter(build(), "DC0")
    driver.check()
    assert read(driver, location.url) == DATA
    driver.delete(location)
    assert files() == []


def rename_datacenter(driver: VmwareStore, name: str) -> None:
    """Do it as an administrator does."""
    session = driver._parts().vcenter.session()
    (datacenter,) = session.content.rootFolder.childEntity
    datacenter.Rename_Task(name)
    wait_until(lambda: datacenter.name == name)


# -- the server's own names of datastores


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that the server is asked."""
    calls: list[str] = []
    invoke = SoapStubAdapter.InvokeMethod

    def note(self: Any, object: Any, info: Any, *rest: Any) -> Any:
        calls.append(info.wsdlName)
        return invoke(self, object, info, *rest)

    monkeypatch.setattr(SoapStubAdapter, "InvokeMethod", note)
    return calls


def test_a_datastore_is_found_in_few_calls_among_many(
    build: Build, vcenter: Simulator, tmp_path: Path, asked: list[str]
) -> None:
    with Simulator(tmp_path, options="-datastores 9") as many:
        driver = build(**many.settings() | {"vmware_datastores": ["DC0:LocalDS_8"]})
        parts = driver._parts().vcenter
        parts.session()
        asked.clear()
        (datastore,) = driver._settings.datastores
        parts.find(datastore)
        assert len(asked) <= 4
        driver.close()


def test_a_datastore_is_not_looked_for_again_with_each_session(
    build: Build, vcenter: Simulator, asked: list[str]
) -> None:
    driver = build()
    for _ in range(3):
        driver.delete(put(driver))
        end_session(vcenter, driver)
    assert asked.count("FindByInventoryPath") == 1


def test_a_datastore_that_was_put_back_is_found_again(build: Build, files: Files) -> None:
    """It has another name of the server's then."""
    driver = build()
    vcenter = driver._parts().vcenter
    (datastore,) = driver._settings.datastores
    url = put(driver).url
    image_id = url.partition("?")[0].rpartition("/")[2]
    now = vcenter.find(datastore)
    for call in (
        driver.usage,
        lambda: put(driver),
        lambda: driver.blob(Location(url=url)),
        lambda: driver.delete(Location(url=url)),
        lambda: driver.discard(image_id),
    ):
        # Of a datacenter that is not there the simulator says nothing, and hangs up.
        vcenter._found[datastore] = Found(now.datacenter, "datastore-99", "browser-99")
        call()
    assert vcenter.find(datastore) == now
    for path in files():
        path.unlink()


def test_a_datastore_that_is_not_for_us_does_not_hide_ours() -> None:
    """Whoever logs in may not see the names of all. The simulator has no such rights."""
    datacenter, ours = vim.Datacenter("datacenter-2", None), vim.Datastore("datastore-2", None)
    no_right = vmodl.query.PropertyCollector.MissingProperty(
        path="name", fault=vim.fault.NoPermission()
    )
    answers = {
        vim.Datastore: [
            SimpleNamespace(obj=None, propSet=[], missingSet=[no_right]),
            SimpleNamespace(obj=ours, propSet=[_property("name", "ours")], missingSet=[]),
        ],
        vim.Datacenter: [
            SimpleNamespace(propSet=[_property("datastore", [None, ours])], missingSet=[])
        ],
    }
    browser = vim.host.DatastoreBrowser("browser-2", None)

    def retrieve(wanted: list[Any]) -> list[Any]:
        (asked,) = wanted[0].propSet
        if list(asked.pathSet) == ["browser"]:
            return [SimpleNamespace(propSet=[_property("browser", browser)], missingSet=[])]
        return answers[asked.type]

    content = SimpleNamespace(
        searchIndex=SimpleNamespace(FindByInventoryPath=lambda path: datacenter),
        propertyCollector=SimpleNamespace(RetrieveContents=retrieve),
    )
    session = Session(None, content, "", os.getpid())
    found = _find(session, Datastore("DC0", "ours"))
    assert found == Found("datacenter-2", "datastore-2", "browser-2")


def _property(name: str, value: Any) -> Any:
    return SimpleNamespace(name=name, val=value)


# -- certificates


def test_the_certificate_is_checked(build: Build, vcenter: Simulator) -> None:
    shown = ssl.get_server_certificate(("127.0.0.1", int(vcenter.address.rpartition(":")[2])))
    certificate = ssl.PEM_cert_to_DER_cert(shown)
    sha1, sha256 = hashlib.sha1(certificate).hexdigest(), hashlib.sha256(certificate).hexdigest()
    colons = ":".join(sha256[at : at + 2] for at in range(0, 64, 2)).upper()
    for trusted in (
        {"vmware_server_thumbprint": sha256},
        {"vmware_server_thumbprint": sha1},
        {"vmware_server_thumbprint": colons},
        {"vmware_insecure": True},
    ):
        driver = build(vmware_ca_file="", **trusted)
        location = put(driver)
        assert read(driver, location.url) == DATA
        driver.delete(location)
    other = sha256[:-1] + ("0" if sha256.endswith("f") else "f")
    for doubtful in ({}, {"vmware_server_thumbprint": other}):
        driver = build(vmware_ca_file="", **doubtful)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="certificate"):
                driver.check()
        with pytest.raises(StoreUnavailable, match="certificate"):
            driver.open(location)


# -- sessions and credentials


def test_a_session_that_ends_in_the_middle_is_begun_anew(
    build: Build, vcenter: Simulator, files: Files
) -> None:
    driver = build()

    def chunks() -> Any:
        yield DATA
        end_session(vcenter, driver)
        yield DATA

    location = driver.write(str(uuid.uuid4()), IteratorStream(chunks()), None)
    calls: list[Callable[[], object]] = [
        driver.check,
        lambda: driver.size(location),
        lambda: driver.open_range(location, 5, 10).close(),
        lambda: driver.delete(put(driver)),
    ]
    for call in calls:
        end_session(vcenter, driver)
        call()
    with driver.open(location) as opened:
        start = opened.read(1000)
        end_session(vcenter, driver)
        assert start + b"".join(opened) == 2 * DATA
    driver.delete(location)
    assert files() == []


@pytest.mark.parametrize("size", [len(DATA), None])
def test_a_session_may_end_before_the_first_byte_has_come(
    build: Build, vcenter: Simulator, size: int | None
) -> None:
    driver = build()

    def chunks() -> Any:
        end_session(vcenter, driver)
        yield DATA

    location = driver.write(str(uuid.uuid4()), IteratorStream(chunks()), size)
    assert read(driver, location.url) == DATA
    driver.delete(location)


def test_a_folder_of_a_datastore_is_one_place(build: Build) -> None:
    both = build(vmware_datastores=["DC0:LocalDS_0", "DC0:LocalDS_1:9"]).places()
    (first,) = build(vmware_datastores=["DC0:LocalDS_0:7"], vmware_api_retry_count=1).places()
    (aside,) = build(
        vmware_datastores=["DC0:LocalDS_0"], vmware_store_image_dir="/another"
    ).places()
    assert first in both
    assert aside not in both
    assert len(set(both)) == 2


def test_a_server_is_one_place_however_its_address_is_written(build: Build) -> None:
    names = ("vc.example.org", "VC.example.org", "vc.example.org:443")
    (place,) = {place for name in names for place in build(vmware_server_host=name).places()}
    assert [place] != build(vmware_server_host="vc.example.org:8443").places()


def test_closing_ends_the_session(build: Build) -> None:
    driver = build()
    driver.check()
    session = driver._parts().vcenter.session()
    driver.close()
    with pytest.raises(vim.fault.NotAuthenticated):
        session.content.searchIndex.FindByInventoryPath("DC0")
    session.stub.DropConnections()


def test_a_process_that_forks_has_a_session_of_its_own(build: Build) -> None:
    driver = build()
    location = put(driver)
    ours = driver._parts().vcenter.session()
    child = os.fork()
    if child == 0:
        try:
            is_well = read(driver, location.url) == DATA
            is_well &= driver._parts().vcenter.session().cookie != ours.cookie
            driver.close()
        except BaseException:
            is_well = False
        os._exit(0 if is_well else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert driver._parts().vcenter.session() is ours
    assert read(driver, location.url) == DATA
    driver.delete(location)


def test_wrong_credentials_are_denied_and_not_shown(
    build: Build, vcenter: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    location = Location(
        url=f"vsphere://{vcenter.address}/folder/openstack_glance/1?dcPath=DC0&dsName=LocalDS_0"
    )
    driver = build(vmware_server_password=SECRET)
    for call in (driver.check, lambda: put(driver), lambda: driver.open(location)):
        with pytest.raises(StoreDenied) as raised:
            call()
        assert SECRET not in f"{raised.value!r}{raised.value.__cause__!r}"
    assert SECRET not in caplog.text + str(driver.details())
    assert SECRET not in repr(driver._settings)


def test_cookies_are_not_logged(
    build: Build, caplog: pytest.LogCaptureFixture, vcenter: Simulator
) -> None:
    caplog.set_level(logging.DEBUG)
    driver = build()
    driver.delete(put(driver))
    cookie = driver._parts().vcenter.session().cookie.partition("=")[2].strip('"')
    assert len(cookie) > 10
    end_session(vcenter, driver)
    driver.check()
    assert cookie not in caplog.text


# -- reading


def test_what_is_deleted_behind_our_back_is_missing(build: Build, files: Files) -> None:
    driver = build()
    location = put(driver)
    for path in files():
        path.unlink()
    for call in (
        lambda: driver.open(location),
        lambda: driver.open_range(location, 1, 1),
        lambda: driver.size(location),
        lambda: driver.delete(location),
    ):
        with pytest.raises(BlobNotFound):
            call()


def test_what_became_shorter_behind_our_back_ends_where_it_ends(
    build: Build, files: Files
) -> None:
    driver = build()
    location = put(driver)
    (path,) = files()
    os.truncate(path, 1000)
    with driver.open_range(location, 900, 200) as opened:
        assert b"".join(opened) == DATA[900:1000]
    with pytest.raises(StoreFailed, match="416"):
        driver.open_range(location, 1000, 10)
    driver.delete(location)

# SPDX-License-Identifier: Apache-2.0
"""Images in the accounts of their owners: whose token is used for what, who may read in Swift
itself, and uploads that outlive the token.
"""

from __future__ import annotations

import io
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
from glancekit_swift_store.driver import SwiftStore
from glancekit_swift_store.options import MB

from glancekit.plugin import (
    BlobNotFound,
    Caller,
    ConfigError,
    FileStream,
    GlancekitError,
    IteratorStream,
    Location,
    StoreDenied,
    StoreUnavailable,
)
from glancekit.testing.wire import FaultyWire, Line, Wire

MIB = 1 << 20
DATA = bytes(range(256)) * 8192
"""2 MiB."""

Build = Callable[..., SwiftStore]
CallerOf = Callable[..., Caller]
AccountOf = Callable[[str, str], Any]


@pytest.fixture
def site(with_keystone: Any) -> Any:
    return with_keystone


@pytest.fixture
def store(build: Build, container: str) -> SwiftStore:
    """The store as the service has it, without a caller."""
    return build(
        container,
        swift_store_multi_tenant=True,
        swift_store_admin_tenants=["operators"],
        swift_store_large_object_size=100,
    )


def put(driver: SwiftStore, data: bytes = DATA) -> Location:
    return driver.write(str(uuid.uuid4()), FileStream(io.BytesIO(data)), len(data))


def read(driver: SwiftStore, location: Location) -> bytes:
    with driver.open(location) as opened:
        return b"".join(opened)


def test_an_image_is_in_a_container_of_its_own_in_its_owners_account(
    store: SwiftStore, container: str, caller_of: CallerOf, account_of: AccountOf, site: Any
) -> None:
    caller = caller_of("demo-member", "demo")
    location = put(acting := store.acting_for(caller))
    own = f"{container}_{location.image_id}"
    host = site.swift.url.removeprefix("http://")
    assert location.url == f"swift+http://{host}/v1/AUTH_{caller.owner}/{own}/{location.image_id}"
    account = account_of("demo-member", "demo")
    assert account.names(own) == [location.image_id]
    assert acting.size(location) == len(DATA)
    acting.delete(location)
    assert own not in account.containers()
    with pytest.raises(BlobNotFound):
        acting.delete(location)


def test_without_a_caller_the_service_does_it_for_the_owner(
    store: SwiftStore, container: str, caller_of: CallerOf, account_of: AccountOf
) -> None:
    """Imports write so; the reaper discards and deletes so."""
    owner = caller_of("demo-member", "demo").owner
    background = store.acting_for(Caller(owner=owner))
    location = put(background)
    account = account_of("demo-member", "demo")
    own = f"{container}_{location.image_id}"
    assert account.names(own) == [location.image_id]
    assert read(store, location) == DATA
    store.delete(location)
    again = put(background)
    background.discard(again.image_id)
    background.discard(again.image_id)
    assert not [name for name in account.containers() if name.startswith(container)]


def test_an_image_for_another_project_goes_to_that_ones_account(
    store: SwiftStore, container: str, caller_of: CallerOf, account_of: AccountOf
) -> None:
    admin = store.acting_for(caller_of("admin", "admin", owner="demo"))
    location = put(admin)
    own = f"{container}_{location.image_id}"
    assert account_of("demo-member", "demo").names(own) == [location.image_id]
    assert read(admin, location) == DATA
    admin.delete(location)


def test_an_interrupted_upload_leaves_no_container(
    store: SwiftStore, container: str, caller_of: CallerOf, account_of: AccountOf
) -> None:
    def broken() -> Iterator[bytes]:
        yield DATA
        raise EOFError

    acting = store.acting_for(caller_of("demo-member", "demo"))
    for size in (2 * len(DATA), None):
        with pytest.raises(EOFError):
            acting.write(str(uuid.uuid4()), IteratorStream(broken()), size)
    names = account_of("demo-member", "demo").containers()
    assert not [name for name in names if name.startswith(container)]


def test_a_container_with_other_things_in_it_stays(
    store: SwiftStore, container: str, caller_of: CallerOf, account_of: AccountOf
) -> None:
    acting = store.acting_for(caller_of("demo-member", "demo"))
    location, account = put(acting), account_of("demo-member", "demo")
    own = f"{container}_{location.image_id}"
    account.call("PUT", f"/{own}/notes", data=b"of the owner")
    acting.delete(location)
    assert account.names(own) == ["notes"]
    account.call("DELETE", f"/{own}/notes")
    account.call("DELETE", f"/{own}")


class LaggingWire(Wire):
    """One on which the server says of a container that there is something in it, for once."""

    def __init__(self, port: int) -> None:
        self.happened = 0
        super().__init__(port)

    def forth(self, line: Line, chunk: bytes) -> bytes | None:
        if self.happened or not re.match(rb"DELETE /v1/[^/]+/[^/ ]+ ", chunk):
            return chunk
        self.happened += 1
        line.client.sendall(b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n")
        return b""


def test_a_container_whose_listing_has_not_heard_yet_goes_later(
    build: Build, container: str, caller_of: CallerOf, account_of: AccountOf, site: Any
) -> None:
    account = site.outside.url.partition("/v1/")[2]
    with LaggingWire(site.swift.port) as way:
        store = build(
            container,
            swift_store_multi_tenant=True,
            swift_store_endpoint=f"{way.url}/v1/{account}",
        )
        acting = store.acting_for(caller_of("demo-member", "demo"))
        location = put(acting)
        with pytest.raises(StoreUnavailable, match="empty yet"):
            acting.delete(location)
        assert way.happened == 1
        with pytest.raises(BlobNotFound):
            acting.delete(location)
    names = account_of("demo-member", "demo").containers()
    assert not [name for name in names if name.startswith(container)]


def test_a_direct_url_is_signed_with_the_key_of_the_owners_account(
    build: Build, container: str, caller_of: CallerOf, account_of: AccountOf
) -> None:
    store = build(
        container, swift_store_multi_tenant=True, swift_store_temp_url_key="of-the-service"
    )
    acting = store.acting_for(caller_of("demo-member", "demo"))
    location, account = put(acting), account_of("demo-member", "demo")
    with pytest.raises(StoreDenied, match="no key"):
        acting.direct_url(location, 60)
    account.call("POST", headers={"X-Account-Meta-Temp-URL-Key": "of-the-owner"})
    assert requests.get(acting.direct_url(location, 60), timeout=30).content == DATA
    account.call("POST", headers={"X-Remove-Account-Meta-Temp-URL-Key": "x"})
    acting.delete(location)


# -- who may read


def test_readers_are_granted_in_swift_itself(
    store: SwiftStore, container: str, caller_of: CallerOf, account_of: AccountOf, keystone: Any
) -> None:
    owner, member = caller_of("demo-member", "demo"), keystone.make_project("other")
    acting, stranger = store.acting_for(owner), account_of("other-member", "other")
    location = put(acting)
    url, own = location.url.removeprefix("swift+"), f"{container}_{location.image_id}"

    def status() -> int:
        headers = {"X-Auth-Token": stranger.token}
        return requests.get(url, headers=headers, timeout=30).status_code

    assert status() == 403
    for readers, public, read_acl, expected in (
        ([member], False, f"{member}:*", 200),
        (["a", "b"], False, "a:*,b:*", 403),
        (["x:*,.r:*,y", ".r", "two\nlines", "good"], False, "good:*", 403),
        ([], True, "*:*", 200),
        ([], False, None, 403),
    ):
        acting.grant(location, readers, public=public)
        headers = account_of("demo-member", "demo").call("HEAD", f"/{own}").headers
        assert headers.get("X-Container-Read") == read_acl
        assert headers["X-Container-Write"] == "operators:*"
        assert status() == expected
    assert requests.get(url, timeout=30).status_code == 401  # nobody reads without a token
    store.grant(location, [member], public=False)  # as the service, from the background
    assert status() == 200
    acting.delete(location)


def test_a_reader_reads_with_a_token_and_the_service_where_that_does_not_do(
    store: SwiftStore, caller_of: CallerOf, caplog: pytest.LogCaptureFixture
) -> None:
    """What the core has allowed is read also while Swift has not heard of it."""
    acting = store.acting_for(caller_of("demo-member", "demo"))
    location = put(acting)
    reader = store.acting_for(caller_of("other-member", "other", owner="demo"))
    with caplog.at_level("INFO", "glancekit_swift_store"):
        assert read(reader, location) == DATA
    assert "what the caller may not" in caplog.text
    caplog.clear()
    acting.grant(location, [], public=True)
    with caplog.at_level("INFO", "glancekit_swift_store"):
        assert read(reader, location) == DATA
        assert reader.size(location) == len(DATA)
    assert "what the caller may not" not in caplog.text
    acting.delete(location)


@pytest.mark.parametrize(
    "url",
    [
        "swift+http://elsewhere.example.org/v1/AUTH_{project}/{container}_{id}/{id}",
        "swift+https://{host}/v1/AUTH_{project}/{container}_{id}/{id}",
        "swift+http://{host}/v2/AUTH_{project}/{container}_{id}/{id}",
        "swift+http://{host}/v1/AUTH_{project}/..%2f/{container}_{id}/{id}",
        "swift+http://{host}/v1/{container}_{id}/{id}",
    ],
)
def test_no_token_goes_elsewhere(
    store: SwiftStore, caller_of: CallerOf, container: str, site: Any, url: str
) -> None:
    caller, image_id = caller_of("demo-member", "demo"), str(uuid.uuid4())
    host = site.swift.url.removeprefix("http://")
    named = url.format(host=host, project=caller.owner, container=container, id=image_id)
    location = Location(url=named, image_id=image_id)
    for driver in (store, store.acting_for(caller)):
        with pytest.raises(StoreDenied):
            driver.open(location)
        with pytest.raises(StoreDenied):
            driver.delete(location)


def test_with_the_services_rights_only_the_images_own_container_is_touched(
    store: SwiftStore, caller_of: CallerOf
) -> None:
    """A client may name the URL of another's image; only Swift says whether that is theirs."""
    owners = store.acting_for(caller_of("demo-member", "demo"))
    location = put(owners)
    claimed = replace(location, image_id=str(uuid.uuid4()))
    thief = store.acting_for(caller_of("other-member", "other"))
    for call in (thief.open, thief.size, thief.delete, store.open, store.size, store.delete):
        with pytest.raises(StoreDenied):
            call(claimed)
    store.grant(claimed, ["thief"], public=True)
    with pytest.raises(StoreDenied):
        thief.open(claimed)
    owners.delete(location)


# -- tokens and trusts


def trusts_of(keystone: Any, user: str) -> list[Any]:
    found = keystone.call(
        "GET", f"/OS-TRUST/trusts?trustor_user_id={keystone.id_of('user', user)}"
    )
    return list(found["trusts"])


@pytest.mark.parametrize("with_trusts", [True, False])
def test_a_long_upload_outlives_the_token(
    build: Build,
    container: str,
    caller_of: CallerOf,
    keystone: Any,
    with_trusts: bool,
) -> None:
    store = build(container, swift_store_multi_tenant=True, swift_store_use_trusts=with_trusts)
    store._settings = replace(store._settings, segment_size=MIB // 2, whole_below=0)
    caller = caller_of("demo-member", "demo")
    seen: list[int] = []

    def pieces() -> Iterator[bytes]:
        yield DATA[:MIB]
        seen.append(len(trusts_of(keystone, "demo-member")))
        time.sleep(0.5)  # what is on its way arrives
        keystone.revoke(caller.token)
        yield DATA[MIB:]

    def write() -> Location:
        return store.acting_for(caller).write(str(uuid.uuid4()), IteratorStream(pieces()), None)

    if not with_trusts:
        with pytest.raises(GlancekitError):
            write()
    else:
        location = write()
        assert read(store, location) == DATA
        store.delete(location)
    assert seen == [int(with_trusts)]
    assert trusts_of(keystone, "demo-member") == []


def test_what_an_upload_without_a_token_left_is_discarded_for_its_caller(
    build: Build, container: str, caller_of: CallerOf, account_of: AccountOf, keystone: Any
) -> None:
    """At once: not only when somebody looks for what dead writers left."""
    store = build(container, swift_store_multi_tenant=True, swift_store_use_trusts=False)
    store._settings = replace(store._settings, segment_size=MIB, whole_below=0)
    caller, image_id = caller_of("demo-member", "demo"), str(uuid.uuid4())

    def pieces() -> Iterator[bytes]:
        yield DATA
        time.sleep(0.5)  # what is on its way arrives
        keystone.revoke(caller.token)
        yield DATA

    acting = store.acting_for(caller)
    with pytest.raises(StoreDenied):
        acting.write(image_id, IteratorStream(pieces()), None)
    acting.discard(image_id)
    names = account_of("demo-member", "demo").containers()
    assert not [name for name in names if name.startswith(container)]


def test_a_broken_read_goes_on_also_when_the_token_has_ended(
    build: Build, container: str, caller_of: CallerOf, keystone: Any, site: Any
) -> None:
    """The reading was allowed when it began."""
    account = site.outside.url.partition("/v1/")[2]
    with FaultyWire(site.swift.port) as way:
        store = build(
            container,
            swift_store_multi_tenant=True,
            swift_store_endpoint=f"{way.url}/v1/{account}",
        )
        caller = caller_of("demo-member", "demo")
        data = DATA * 8  # more than is under way
        location = put(acting := store.acting_for(caller), data)
        with acting.open(location) as opened:
            first = opened.read(1000)
            keystone.revoke(caller.token)
            way.cut_back = 0
            assert first + b"".join(opened) == data
        assert way.happened == 1
        store.delete(location)


def test_who_can_give_no_trust_uploads_with_the_token(
    store: SwiftStore, keystone: Any, caller_of: CallerOf
) -> None:
    """Such as the holder of an application credential."""
    store._settings = replace(store._settings, segment_size=MIB, whole_below=0)
    token, user = keystone.token("demo-member", "demo"), keystone.id_of("user", "demo-member")
    made = requests.post(
        f"{keystone.url}/users/{user}/application_credentials",
        json={"application_credential": {"name": uuid.uuid4().hex}},
        headers={"X-Auth-Token": token},
        timeout=30,
    ).json()["application_credential"]
    identity = {
        "methods": ["application_credential"],
        "application_credential": {"id": made["id"], "secret": made["secret"]},
    }
    logged_in = requests.post(
        f"{keystone.url}/auth/tokens", json={"auth": {"identity": identity}}, timeout=30
    )
    token = logged_in.headers["X-Subject-Token"]
    acting = store.acting_for(replace(caller_of("demo-member", "demo"), token=token))
    location = put(acting)
    assert read(acting, location) == DATA
    acting.delete(location)


def test_a_service_without_the_role_is_told_so(
    build: Build, container: str, caller_of: CallerOf
) -> None:
    """It still serves those who come with a token for their own account."""
    plain = build(container, swift_store_multi_tenant=True, swift_store_user="demo:demo-reader")
    owners = plain.acting_for(caller_of("demo-member", "demo"))
    location = put(owners)
    with pytest.raises(StoreDenied):
        plain.delete(location)
    owners.delete(location)


# -- options


@pytest.mark.parametrize(
    "options",
    [
        {"swift_store_config_file": "{file}"},
        {"swift_store_auth_version": "1"},
    ],
)
def test_options_that_exclude_it(
    build: Build, container: str, options: dict[str, str], tmp_path: Any
) -> None:
    file = tmp_path / "swift.conf"
    file.write_text("[ref1]\nauth_address = http://127.0.0.1:1/v3\nuser = a:b\nkey = c\n")
    chosen = {name: value.format(file=file) for name, value in options.items()}
    with pytest.raises(ConfigError, match="swift_store_multi_tenant"):
        build(container, swift_store_multi_tenant=True, **chosen)


def test_the_room_of_projects_is_not_known(store: SwiftStore) -> None:
    store.check()
    assert store.usage().total is None
    assert store.details()["large_object_size"] * MB == 100 * MB

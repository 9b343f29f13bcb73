# SPDX-License-Identifier: Apache-2.0
"""The ways to log in at a Keystone, and what becomes of tokens that it takes back."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from glancekit_swift_store.driver import SwiftStore

from glancekit.plugin import FileStream, IteratorStream, Location, StoreDenied, StoreUnavailable

MIB = 1 << 20
DATA = bytes(range(256)) * 32_768
"""8 MiB."""

Build = Callable[..., SwiftStore]


@pytest.fixture
def site(with_keystone: Any) -> Any:
    return with_keystone


def put(driver: SwiftStore, data: bytes = DATA) -> Location:
    return driver.write(str(uuid.uuid4()), FileStream(io.BytesIO(data)), len(data))


def read(driver: SwiftStore, location: Location) -> bytes:
    with driver.open(location) as opened:
        return b"".join(opened)


def take_back_tokens(keystone: Any) -> None:
    """End all tokens of the service's user, as an administrator does."""
    user = keystone.id_of("user", "glance")
    keystone.call("PATCH", f"/users/{user}", {"user": {"password": "secret"}})
    time.sleep(1.1)  # Keystone counts in seconds: a token of the same one would not count either


def make_credential(keystone: Any) -> dict[str, str]:
    """Make an application credential of the service's user."""
    token = keystone.token("glance", "service")
    user = keystone.id_of("user", "glance")
    asked = {"application_credential": {"name": uuid.uuid4().hex}}
    answer = requests.post(
        f"{keystone.url}/users/{user}/application_credentials",
        json=asked,
        headers={"X-Auth-Token": token},
        timeout=30,
    )
    answer.raise_for_status()
    made = answer.json()["application_credential"]
    return {
        "swift_store_application_credential_id": made["id"],
        "swift_store_application_credential_secret": made["secret"],
    }


def test_an_application_credential_is_enough(build: Build, container: str, keystone: Any) -> None:
    nobody = {"swift_store_user": "", "swift_store_key": ""}
    driver = build(container, **nobody, **make_credential(keystone))
    driver.check()
    assert read(driver, put(driver)) == DATA


def test_a_file_may_have_users_and_application_credentials(
    build: Build, container: str, keystone: Any, tmp_path: Path
) -> None:
    """Each under the name that locations call it by."""
    credential = make_credential(keystone)
    path = tmp_path / "references.conf"
    path.write_text(
        f"[DEFAULT]\nauth_address = {keystone.url}\n"
        "[by_user]\nuser = service:glance\nkey = secret\nproject_domain_name = Default\n"
        "[by_credential]\n"
        + "".join(
            f"{name.removeprefix('swift_store_')} = {credential[name]}\n" for name in credential
        )
    )
    for name in ("by_user", "by_credential"):
        chosen = {"swift_store_config_file": str(path), "default_swift_reference": name}
        driver = build(container, **chosen)
        location = put(driver)
        assert location.url == f"swift+config://{name}/{container}/{location.image_id}"
        for other in ("by_user", "by_credential"):
            assert read(driver, replace(location, url=location.url.replace(name, other))) == DATA


@pytest.mark.parametrize(
    "chosen",
    [
        {"swift_store_project_domain_name": "Default", "swift_store_user_domain_id": "default"},
        {"swift_store_region": "RegionOne"},
        {"swift_store_endpoint_type": "internalURL"},
    ],
)
def test_it_logs_in_as_it_is_told(build: Build, container: str, chosen: dict[str, str]) -> None:
    build(container, **chosen).check()


def test_the_address_may_lack_the_version(build: Build, container: str, keystone: Any) -> None:
    build(container, swift_store_auth_address=keystone.url.removesuffix("/v3")).check()


@pytest.mark.parametrize(
    "chosen",
    [
        {"swift_store_key": "hunter2"},
        {"swift_store_user": "demo:glance"},
        {"swift_store_user_domain_name": "nowhere"},
        {"swift_store_user": "", "swift_store_application_credential_id": "x"}
        | {"swift_store_application_credential_secret": "hunter2"},
    ],
)
def test_who_may_not_log_in_is_denied(
    build: Build, container: str, chosen: dict[str, str]
) -> None:
    with pytest.raises(StoreDenied) as refused:
        build(container, **chosen).check()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "credentials",
    [
        "service%3Aglance:hunter2",
        "nobody:hunter2",
        "%3A:hunter2",
        "%3Aglance:secret",
        "service%3A:hunter2",
        "demo%3Aglance:secret",
        "a%3Ab%3Ac:hunter2",
        ":",
    ],
)
def test_a_location_s_login_that_is_none_says_nothing_of_the_store(
    build: Build, container: str, keystone: Any, credentials: str
) -> None:
    """It is denied: many that "do not answer" would have the whole store passed over."""
    host = keystone.url.removeprefix("http://")
    location = Location(url=f"swift+http://{credentials}@{host}/{container}/1")
    with pytest.raises(StoreDenied) as refused:
        build(container).size(location)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "chosen", [{"swift_store_region": "elsewhere"}, {"swift_store_service_type": "other"}]
)
def test_a_catalog_without_the_endpoint_is_told(
    build: Build, container: str, chosen: dict[str, str]
) -> None:
    with pytest.raises(StoreUnavailable, match="endpoint"):
        build(container, **chosen).check()


def test_tokens_that_are_taken_back_are_renewed(
    build: Build, container: str, keystone: Any
) -> None:
    """Between two requests, and between two segments of one upload."""
    driver = build(container)
    driver._settings = replace(driver._settings, segment_size=MIB, whole_below=0)

    def pieces() -> Iterator[bytes]:
        for offset in range(0, len(DATA), MIB):
            if offset == 4 * MIB:
                time.sleep(1.0)  # what is on its way arrives
                take_back_tokens(keystone)
            yield DATA[offset : offset + MIB]

    location = driver.write(str(uuid.uuid4()), IteratorStream(pieces()), None)
    take_back_tokens(keystone)
    assert read(driver, location) == DATA
    take_back_tokens(keystone)
    driver.delete(location)


@pytest.mark.parametrize("size_known", [True, False])
def test_a_segment_that_cannot_be_sent_twice_finds_a_token_that_counts(
    build: Build, container: str, keystone: Any, size_known: bool
) -> None:
    """A server takes in the whole body before it says that the token was taken back."""
    driver = build(container)
    driver._settings = replace(driver._settings, segment_size=9 * MIB, whole_below=0)
    data = [DATA[:MIB]] * 18

    def pieces() -> Iterator[bytes]:
        for number, piece in enumerate(data):
            if number == 9:
                time.sleep(1.0)  # what is on its way arrives
                take_back_tokens(keystone)
            yield piece

    size = sum(map(len, data)) if size_known else None
    location = driver.write(str(uuid.uuid4()), IteratorStream(pieces()), size)
    assert read(driver, location) == b"".join(data)


def test_no_login_leaves_a_secret_in_the_log(
    build: Build, container: str, keystone: Any, caplog: pytest.LogCaptureFixture
) -> None:
    credential = make_credential(keystone)
    nobody = {"swift_store_user": "", "swift_store_key": ""}
    with caplog.at_level("DEBUG"):
        for chosen in ({}, {**nobody, **credential}):
            driver = build(container, **chosen)
            assert read(driver, put(driver, b"data")) == b"data"
            take_back_tokens(keystone)
            driver.check()
    assert "DEBUG" in caplog.text
    # What tokens begin with; and the password as JSON, for the word alone is in names, too.
    tokens, password = "gAAAA", '"secret"'
    for secret in (credential["swift_store_application_credential_secret"], tokens, password):
        assert secret not in caplog.text


def test_a_token_that_will_expire_is_renewed_before(build: Build, container: str) -> None:
    driver = build(container, swift_store_expire_soon_interval=10**6)
    assert read(driver, put(driver)) == DATA


def test_a_keystone_that_hangs_is_unavailable(build: Build, container: str, keystone: Any) -> None:
    driver = build(container, swift_store_read_timeout=0.5)
    keystone.freeze()
    try:
        with pytest.raises(StoreUnavailable):
            driver.check()
    finally:
        keystone.thaw()
    driver.check()

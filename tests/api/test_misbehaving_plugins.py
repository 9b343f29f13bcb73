# SPDX-License-Identifier: Apache-2.0
"""Drivers and hooks that misbehave, seen by a client: whoever needs them gets a clean answer,
nobody else notices, and the log and the administrator are told who it was. Stores, and each method
of a metadata driver, are in tests/unit/core; imports in tests/unit/services.
"""

from __future__ import annotations

import logging
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from glancekit.api import auth as api_auth
from glancekit.api.app import create_app
from glancekit.api.options import ApiSettings
from glancekit.bootstrap import bootstrap, load_config
from glancekit.bootstrap.workers import periodic_work
from glancekit.core.config import Configuration
from glancekit.core.model.events import Event
from glancekit.core.periodic import PeriodicTask
from glancekit.plugin import Identity
from glancekit.services.cache.keeping import prune
from glancekit.services.world import World
from glancekit.testing.client import Client, WsgiTransport
from glancekit.testing.waiting import wait_until

PATIENCE = 0.5

Proper = Callable[[], Any]

released = threading.Event()


def raises(proper: Proper) -> Any:
    raise KeyError("region")


def exits(proper: Proper) -> Any:
    raise SystemExit(3)


def hangs(proper: Proper) -> Any:
    released.wait(60)


def returns_nonsense(proper: Proper) -> Any:
    return object()


def leaks_threads(proper: Proper) -> Any:
    threading.Thread(target=released.wait, args=(60,), daemon=True).start()
    return proper()


WAYS = {way.__name__: way for way in (raises, exits, hangs, returns_nonsense)}
"""The ways to fail. Who leaves threads behind does as it should otherwise."""

SOURCE = """
from glancekit.plugin import AuthDriver, Identity, LimitSource, hookimpl
from glancekit.plugin import CachePolicy, SupportsExpiry
from glancekit.testing.memory_metadata import MemoryMetadata, MemoryUnitOfWork

api_level = 1
misbehave = {}

def asked(what, proper):
    way = misbehave.get(what)
    return way(proper) if way is not None else proper()

class Auth(AuthDriver):
    api_level = 1
    def __init__(self, options, *, name): pass
    def authenticate(self, credentials):
        admin = Identity(user_id="a", project_id="a", roles=frozenset({"admin"}))
        return asked("authenticate", lambda: admin)
    def challenge(self):
        return asked("challenge", lambda: None)
    def close(self): pass

class Limits(LimitSource):
    api_level = 1
    def __init__(self, options, *, name): pass
    def is_limiting(self): return True
    def limits(self, project_id):
        return asked("limits", dict)
    def close(self): pass

class Images:
    def __init__(self, images): self._images = images
    def __getattr__(self, name): return getattr(self._images, name)
    def get(self, image_id, **named):
        return asked("get", lambda: self._images.get(image_id, **named))

class Unit(MemoryUnitOfWork):
    def __enter__(self):
        super().__enter__()
        self.images = Images(self.images)
        return self

class Metadata(MemoryMetadata):
    def unit_of_work(self, *, read_only=False): return Unit(self, read_only=read_only)
    def check(self): return asked("check", lambda: None)

class Policy(CachePolicy, SupportsExpiry):
    api_level = 1
    def __init__(self, options, *, name): pass
    def admits(self, image): return asked("admits", lambda: True)
    def eviction_order(self, entries, now): return asked("eviction_order", lambda: entries)
    def expired(self, entries, now): return asked("expired", list)

@hookimpl
def choose_store(image): return asked("choose_store", lambda: None)

@hookimpl
def should_cache(image): return asked("should_cache", lambda: None)

@hookimpl
def after_commit(events): return asked("after_commit", lambda: None)

@hookimpl
def register_periodic_tasks(world): return asked("register_periodic_tasks", list)
"""

ENTRY_POINTS = """
[glancekit.auth]
odd = odd_plugin:Auth
[glancekit.limits]
odd = odd_plugin:Limits
[glancekit.metadata]
odd = odd_plugin:Metadata
[glancekit.cache_policies]
odd = odd_plugin:Policy
[glancekit.hooks]
odd = odd_plugin
"""


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A package with a driver of two kinds and a listener to every hook of the service."""
    folder = tmp_path / "site"
    info = folder / "odd_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "odd_plugin.py").write_text(SOURCE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(api_auth, "PATIENCE", PATIENCE)
    monkeypatch.setattr("glancekit.bootstrap.fitting.LIMITS_PATIENCE", PATIENCE)
    monkeypatch.setattr("glancekit.bootstrap.fitting.POLICY_PATIENCE", PATIENCE)
    monkeypatch.setattr("glancekit.core.guarded_metadata.PATIENCE", PATIENCE)
    released.clear()
    import odd_plugin  # type: ignore[import-not-found]

    yield odd_plugin
    released.set()
    del sys.modules["odd_plugin"]


@pytest.fixture
def config(odd: types.ModuleType, tmp_path: Path) -> Configuration:
    overrides: dict[tuple[str, str], Any] = {
        ("DEFAULT", "data_dir"): str(tmp_path / "data"),
        ("DEFAULT", "image_cache_dir"): str(tmp_path / "cache"),
        ("DEFAULT", "image_cache_policy"): "odd",
        ("DEFAULT", "image_cache_max_size"): 6,
        ("metadata", "driver"): "odd",
        ("auth", "driver"): "odd",
        ("quotas", "driver"): "odd",
        ("plugins", "plugin_start_timeout"): PATIENCE * 10,
    }
    return load_config([], overrides)


@pytest.fixture
def world(config: Configuration) -> Iterator[World]:
    with bootstrap(config) as world:
        world.hooks._in_time._seconds = PATIENCE
        world.hooks._patience = PATIENCE
        yield world


@pytest.fixture
def client(world: World) -> Client:
    return Client(WsgiTransport(create_app(world, ApiSettings())))


def upload(client: Client) -> str:
    image = client.create(disk_format="raw", container_format="bare")
    assert client.upload(image["id"], b"data").status == 204
    return str(image["id"])


def told(client: Client, operation: str) -> dict[str, Any]:
    """Return what an administrator is told of the plugin's calls."""
    plugins = client.get("/v2/info/plugins").json["plugins"]
    (tally,) = [
        plugin["calls"][operation]
        for plugin in plugins
        if plugin["name"] == "odd" and operation in plugin["calls"]
    ]
    return dict(tally)


@pytest.mark.parametrize("way", WAYS)
def test_auth(
    odd: types.ModuleType, client: Client, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    odd.misbehave["authenticate"] = WAYS[way]
    answer = client.get("/v2/images", accept="application/json")
    assert answer.status == (503 if way == "hangs" else 500)
    assert answer.json["message"]
    assert "region" not in answer.text
    assert "odd" in caplog.text
    assert client.get("/healthcheck").status == 200
    odd.misbehave.clear()
    assert client.get("/v2/images").status == 200
    assert told(client, "authenticate")["errors"] == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_auth_has_a_thread_of_its_own_unless_it_answers_at_once(
    odd: types.ModuleType, world: World, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    asked_in = []

    def note(proper: Proper) -> Identity:
        asked_in.append(threading.current_thread())
        return cast(Identity, proper())

    monkeypatch.setattr(odd.Auth, "answers_at_once", at_once)
    odd.misbehave["authenticate"] = note
    client = Client(WsgiTransport(create_app(world, ApiSettings())))
    assert client.get("/v2/images").status == 200
    assert (asked_in == [threading.current_thread()]) is at_once


@pytest.mark.parametrize("way", WAYS)
def test_challenge(
    odd: types.ModuleType, client: Client, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    from glancekit.plugin import Unauthenticated

    def unknown(proper: Proper) -> Identity:
        raise Unauthenticated

    odd.misbehave |= {"authenticate": unknown, "challenge": WAYS[way]}
    answer = client.get("/v2/images", accept="application/json")
    assert answer.status == 401
    assert "www-authenticate" not in answer.headers
    assert "odd" in caplog.text


@pytest.mark.parametrize("way", WAYS)
def test_limits(
    odd: types.ModuleType, client: Client, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    upload(client)
    odd.misbehave["limits"] = WAYS[way]
    answer = client.post("/v2/images", {})
    assert answer.status == (503 if way == "hangs" else 500)
    assert "region" not in answer.text
    assert "odd" in caplog.text
    assert len(client.get("/v2/images").json["images"]) == 1, "who needs no limits goes on"
    assert told(client, "limits")["errors"] == 1


@pytest.mark.parametrize("way", WAYS)
def test_choose_store(
    odd: types.ModuleType, client: Client, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    odd.misbehave["choose_store"] = WAYS[way]
    image = upload(client)
    assert client.download(image).body == b"data"
    assert "odd failed in choose_store" in caplog.text
    assert told(client, "choose_store")["errors"] >= 1


@pytest.mark.parametrize("way", WAYS)
def test_should_cache(
    odd: types.ModuleType, world: World, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    odd.misbehave["should_cache"] = WAYS[way]
    client = Client(WsgiTransport(create_app(world, ApiSettings())))
    image = upload(client)
    with world.metadata.unit_of_work(read_only=True) as work:
        found = work.images.get(image)
    assert isinstance(world.hooks.should_cache(found, world.stores), bool), "the next one is asked"
    assert "odd failed in should_cache" in caplog.text
    assert told(client, "should_cache")["errors"] == 1


@pytest.mark.parametrize("way", [way for way in WAYS if way != "returns_nonsense"])
def test_after_commit(
    odd: types.ModuleType,
    world: World,
    config: Configuration,
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    """Each listener is told by a task of its own (the outbox), so that a hung one is alone."""
    caplog.set_level(logging.INFO)
    odd.misbehave["after_commit"] = WAYS[way]
    client = Client(WsgiTransport(create_app(world, ApiSettings())))
    image = upload(client)
    running = periodic_work(world, config)
    running.start()
    try:
        wait_until(lambda: any(image in line for line in caplog.text.splitlines()))  # audit_log
        if way != "hangs":
            wait_until(lambda: "listener odd failed" in caplog.text)
            assert told(client, "after_commit")["errors"] >= 1
    finally:
        released.set()
        running.stop(5.0)


@pytest.mark.parametrize("way", WAYS)
def test_register_periodic_tasks(
    odd: types.ModuleType, world: World, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    odd.misbehave["register_periodic_tasks"] = WAYS[way]
    tasks = world.hooks.register_periodic_tasks(world)
    assert "reaper" in {task.name.split()[0] for task in tasks}, "the others' are there"
    assert "no periodic task of plugin odd will run" in caplog.text
    client = Client(WsgiTransport(create_app(world, ApiSettings())))
    assert told(client, "register_periodic_tasks")["errors"] == 1


@pytest.mark.parametrize(
    ("interval", "reason"), [("soon", "interval"), (0, "interval"), (float("nan"), "interval")]
)
def test_a_periodic_task_that_could_not_be_timed_is_left_out(
    odd: types.ModuleType,
    world: World,
    caplog: pytest.LogCaptureFixture,
    interval: Any,
    reason: str,
) -> None:
    task = PeriodicTask(name="odd task", interval=interval, run=list)
    odd.misbehave["register_periodic_tasks"] = lambda proper: [task]
    tasks = world.hooks.register_periodic_tasks(world)
    assert "odd task" not in {task.name for task in tasks}
    assert "no periodic task of plugin odd will run" in caplog.text
    assert f"{reason} of the periodic task odd task is" in caplog.text


class Unspeakable:
    def __str__(self) -> str:
        raise KeyError("region")


@pytest.mark.parametrize("way", [*WAYS, "leaks_threads"])
def test_a_periodic_task_that_runs(
    odd: types.ModuleType,
    world: World,
    config: Configuration,
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    ways = {**WAYS, "returns_nonsense": lambda proper: Unspeakable()}
    ways["leaks_threads"] = leaks_threads
    ran, fine = threading.Semaphore(0), threading.Semaphore(0)

    def run() -> Any:
        ran.release()
        return ways[way](list)

    tasks = [
        PeriodicTask(name="odd task", interval=0.05, run=run, deadline=0.05),
        PeriodicTask(name="fine task", interval=0.05, run=fine.release),
    ]
    odd.misbehave["register_periodic_tasks"] = lambda proper: tasks
    running = periodic_work(world, config)
    running.start()
    try:
        for _ in range(1 if way == "hangs" else 2):
            assert ran.acquire(timeout=30), "it runs again"
        for _ in range(3):
            assert fine.acquire(timeout=30), "the others run"
        if way == "hangs":
            wait_until(lambda: "periodic task odd task has been running for" in caplog.text)
        elif way != "leaks_threads":
            wait_until(lambda: "periodic task odd task failed" in caplog.text)
    finally:
        released.set()
        running.stop(5.0)


@pytest.mark.parametrize("way", WAYS)
def test_metadata(
    odd: types.ModuleType, client: Client, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    image = upload(client)
    odd.misbehave["get"] = WAYS[way]
    answers: list[Any] = []

    def ask() -> None:
        answers.append(client.get(f"/v2/images/{image}", accept="application/json"))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE if way == "hangs" else 30)
    assert client.get("/healthcheck").status == 200
    assert len(client.get("/v2/images").json["images"]) == 1, "who does not need it goes on"
    released.set()
    asking.join(30)
    (answer,) = answers
    assert answer.status == 500
    assert answer.json["message"]
    assert "region" not in answer.text
    assert "The metadata driver 'odd' failed in 'images.get'" in caplog.text
    odd.misbehave.clear()
    assert client.get(f"/v2/images/{image}").status == 200
    assert "images.get" in told(client, "read")["last_error"]


@pytest.mark.parametrize("way", [way for way in WAYS if way != "returns_nonsense"])
def test_how_the_metadata_are(odd: types.ModuleType, client: Client, way: str) -> None:
    odd.misbehave["check"] = WAYS[way]
    answer = client.get("/healthcheck", accept="application/json")
    assert answer.status == 503
    (part,) = [part for part in answer.json["parts"] if not part["ok"]]
    assert part["name"] == "metadata"
    assert "odd" in part["detail"]
    assert client.get("/v2/images").status == 200


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", ["admits", "eviction_order", "expired"])
def test_cache_policy(
    odd: types.ModuleType,
    world: World,
    client: Client,
    caplog: pytest.LogCaptureFixture,
    method: str,
    way: str,
) -> None:
    odd.misbehave |= {"should_cache": lambda proper: True, method: WAYS[way]}
    assert world.cache is not None
    folder = world.cache.folder
    images = [upload(client), upload(client)]
    for image in [*images, *images]:
        assert client.download(image).body == b"data"
        wait_until(lambda: method == "admits" or (folder.names() and not folder.incomplete()))
    prune(world.cache)
    assert "'odd'" in caplog.text
    assert told(client, method)["errors"] >= 1
    odd.misbehave[method] = lambda proper: proper()
    assert client.download(images[0]).body == b"data"


def test_threads_that_are_left_behind(odd: types.ModuleType, world: World, client: Client) -> None:
    """They cost what a thread costs; all is answered."""
    operations = ["authenticate", "limits", "get", "check", "admits", "eviction_order"]
    operations += ["expired", "choose_store", "after_commit", "register_periodic_tasks"]
    odd.misbehave |= dict.fromkeys(operations, leaks_threads)
    odd.misbehave["should_cache"] = lambda proper: True
    for image in (upload(client), upload(client)):
        assert client.download(image).body == b"data"
    assert world.cache is not None
    prune(world.cache)
    assert world.hooks.register_periodic_tasks(world)
    assert client.get("/healthcheck").status == 200
    plugins = client.get("/v2/info/plugins").json["plugins"]
    calls = [plugin["calls"] for plugin in plugins if plugin["name"] == "odd"]
    tallies = [tally for operations in calls for tally in operations.values()]
    assert tallies
    assert not [tally for tally in tallies if tally["errors"]]


def test_no_hook_of_the_service_is_left_out() -> None:
    from glancekit.core import hookspecs

    hooks = {name for name, value in vars(hookspecs).items() if hasattr(value, "glancekit_spec")}
    here = set(globals())
    assert {hook for hook in hooks if f"test_{hook}" not in here} == {"register_commands"}
    assert Event  # what after_commit is told

# SPDX-License-Identifier: Apache-2.0
"""Finding and building plugins: the missing, the broken, the slow, the doubled."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any

import pytest

from glancekit.core import drivers
from glancekit.core.drivers import STORES, Loaded, PluginState, Wanted, load_all
from glancekit.core.errors import ConfigError, PluginError, PluginMissing

Install = Callable[..., str]

SOUND = """
from glancekit.plugin import StoreDriver, SupportsDelete

class Store(StoreDriver, SupportsDelete):
    api_level = 1
    options = ()
    def __init__(self, options, *, name): self.name = name
    def open(self, location): raise NotImplementedError
    def size(self, location): return None
    def delete(self, location): pass
    def close(self): pass
    def __len__(self): return 0
"""


def load(name: str, *, deadline: float = 30.0, group: str = STORES) -> Loaded:
    def build(kind: Any) -> Any:
        return kind(None, name=name)

    (loaded,) = load_all(
        [Wanted(group=group, name=name, use="store x", build=build)], deadline=deadline
    )
    return loaded


def test_a_sound_driver_is_built_and_described(install_store: Install) -> None:
    install_store("acme", SOUND)
    loaded = load("acme")
    assert loaded.error is None
    assert type(loaded.driver).__name__ == "Store"  # though it is falsy
    report = loaded.report
    assert (report.distribution, report.version, report.api_level) == ("acme-acme", "1.5", 1)
    assert report.state is PluginState.OK
    assert report.capabilities == ("SupportsDelete",)
    assert report.use == "store x"


def test_a_store_that_only_looks_like_one_will_do(install_store: Install) -> None:
    source = SOUND.replace("(StoreDriver, SupportsDelete)", "")
    install_store("lookalike", source)
    assert load("lookalike").report.capabilities == ("SupportsDelete",)


def test_a_missing_name_says_what_there_is_and_what_to_install(install_store: Install) -> None:
    install_store("acme", SOUND)
    loaded = load("big_swift")
    assert isinstance(loaded.error, PluginMissing)
    assert loaded.report.state is PluginState.MISSING
    assert "acme" in loaded.error.installed
    assert loaded.error.package == "glancekit-big-swift-store"
    assert "pip install glancekit-big-swift-store" in str(loaded.error)


@pytest.mark.parametrize(
    ("group", "package"),
    [
        (drivers.METADATA, "glancekit-x-metadata"),
        (drivers.AUTH, "glancekit-x-auth"),
        (drivers.CACHE_POLICIES, "glancekit-x-cache-policy"),
        (drivers.IMPORT_METHODS, "glancekit-x-import-method"),
        (drivers.IMPORT_STEPS, "glancekit-x-import-step"),
    ],
)
def test_each_group_names_its_packages(group: str, package: str) -> None:
    assert drivers.missing(group, "x").package == package


BROKEN = {
    "import": ("import a_module_that_is_nowhere\n" + SOUND, "a_module_that_is_nowhere"),
    "exit": ("raise SystemExit(3)\n" + SOUND, "SystemExit: 3"),
    "no such attribute": (SOUND.replace("class Store(", "class Other("), "Store"),
    "not a class": ("class Odd: api_level = 1\nStore = Odd()", "names a Odd, not a class"),
    "no level": (SOUND.replace("    api_level = 1\n", ""), "api_level"),
    "newer level": (SOUND.replace("api_level = 1", "api_level = 99"), "install an older version"),
    "older level": (SOUND.replace("api_level = 1", "api_level = -9"), "install a newer version"),
    "incomplete": (
        SOUND.replace("(StoreDriver, SupportsDelete)", "").replace("def size(", "def sighs("),
        "lacks size",
    ),
    "claims": (SOUND.replace("def delete(", "def deleet("), "delete"),
    "raises": (SOUND.replace("self.name = name", "raise OSError('no licence')"), "no licence"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_driver_is_reported_with_its_reason(install_store: Install, kind: str) -> None:
    source, reason = BROKEN[kind]
    install_store("acme", source)
    loaded = load("acme")
    assert loaded.driver is None
    assert loaded.report.state is PluginState.BROKEN
    assert loaded.report.distribution == "acme-acme"
    assert reason in loaded.report.reason
    assert isinstance(loaded.error, PluginError)
    assert reason in str(loaded.error)


def test_the_stated_level_is_reported_though_it_is_refused(install_store: Install) -> None:
    install_store("acme", SOUND.replace("api_level = 1", "api_level = 99"))
    assert load("acme").report.api_level == 99


HANGS_AT_IMPORT = "import threading\nthreading.Event().wait()\n"
HANGS_WHEN_BUILT = SOUND.replace("self.name = name", "__import__('threading').Event().wait()")


def test_those_that_hang_cost_one_deadline_and_nobody_else(install_store: Install) -> None:
    install_store("imports", HANGS_AT_IMPORT)
    install_store("builds", HANGS_WHEN_BUILT)
    install_store("sound", SOUND)
    wanted = [
        Wanted(group=STORES, name=name, use="", build=lambda kind: kind(None, name="x"))
        for name in ("imports", "builds", "sound")
    ]
    imports, builds, sound = load_all(wanted, deadline=6.0)
    for hung in (imports, builds):
        assert hung.report.state is PluginState.BROKEN
        assert "not ready within 6 s" in hung.report.reason
    assert sound.driver is not None


TAKES_TIME = (
    f"import time\nBEGUN = time.monotonic()\ntime.sleep(0.2)\nENDED = time.monotonic()\n{SOUND}"
)


def test_no_two_are_imported_at_the_same_time(install_store: Install) -> None:
    """Of two threads that import what imports from each other, Python gives one half a module."""
    names = ("one", "two", "three")
    modules = [install_store(name, TAKES_TIME) for name in names]
    wanted = [
        Wanted(group=STORES, name=name, use="", build=lambda kind: kind(None, name="x"))
        for name in names
    ]
    assert all(loaded.error is None for loaded in load_all(wanted, deadline=30.0))
    spans = sorted((sys.modules[name].BEGUN, sys.modules[name].ENDED) for name in modules)
    assert all(ended <= begun for (_, ended), (begun, _) in itertools.pairwise(spans))


def test_an_error_of_the_configuration_stays_one(install_store: Install) -> None:
    source = SOUND.replace("self.name = name", "raise ConfigError('bucket is missing')")
    install_store("acme", "from glancekit.core.errors import ConfigError\n" + source)
    loaded = load("acme")
    assert isinstance(loaded.error, ConfigError)
    assert loaded.report.reason == "bucket is missing"


def test_a_name_that_several_offer_belongs_to_none(install_store: Install) -> None:
    install_store("acme", SOUND, distribution="one")
    install_store("between", SOUND, distribution="two")
    install_store("acme", SOUND, distribution="three")
    loaded = load("acme")
    assert loaded.driver is None
    assert loaded.report.state is PluginState.AMBIGUOUS
    assert "one" in loaded.report.reason
    assert "three" in loaded.report.reason
    assert "uninstall all but one" in loaded.report.reason


def test_several_names_may_come_in_one_package() -> None:
    error = drivers.missing(drivers.IMPORT_STEPS, "image_conversion")
    assert "pip install glancekit-image-steps" in str(error)


def test_the_package_named_after_a_driver_has_the_right_to_it(install_store: Install) -> None:
    install_store("acme", SOUND, distribution="aaa-squatter")
    install_store("acme", SOUND, distribution="glancekit-acme-store")
    assert load("acme").report.distribution == "glancekit-acme-store"
    states = {
        offer.report.distribution: offer.report.state
        for offer in drivers.offers_of(STORES)
        if offer.report.name == "acme"
    }
    assert states == {
        "glancekit-acme-store": PluginState.OK,
        "aaa-squatter": PluginState.SHADOWED,
    }


def test_what_is_installed_later_is_found(install_store: Install) -> None:
    assert load("late").report.state is PluginState.MISSING
    install_store("late", SOUND)
    assert load("late").report.state is PluginState.OK


def test_this_level_and_two_before_are_taken() -> None:
    assert drivers.API_LEVEL in drivers.SUPPORTED_LEVELS
    assert drivers.API_LEVEL + 1 not in drivers.SUPPORTED_LEVELS
    assert drivers.API_LEVEL - 3 not in drivers.SUPPORTED_LEVELS


def test_a_plugin_of_an_older_level_is_used_and_a_newer_one_named(
    install_store: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it will be at level 4, which takes 2 and 3 besides."""
    monkeypatch.setattr(drivers, "SUPPORTED_LEVELS", range(2, 5))
    for level in range(1, 6):
        install_store(f"of{level}", SOUND.replace("api_level = 1", f"api_level = {level}"))
    loaded = {level: load(f"of{level}") for level in range(1, 6)}
    used = [level for level, one in loaded.items() if one.report.state is PluginState.OK]
    assert used == [2, 3, 4]
    assert "takes levels 2 to 4; install a newer version" in loaded[1].report.reason
    assert "takes levels 2 to 4; install an older version" in loaded[5].report.reason

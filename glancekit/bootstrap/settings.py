# SPDX-License-Identifier: Apache-2.0
"""What the configuration says of use cases, imports, rules and places, in the readers' terms.

Which options there are is said where they are declared; nothing is built here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from threading import Event
from typing import Any

from glancekit.core.config import Configuration
from glancekit.core.errors import ConfigError
from glancekit.core.options import DEFAULT, STAGING_STORE
from glancekit.flows.options import SECTION as FLOW_SECTION
from glancekit.flows.options import FlowSettings
from glancekit.services.keeping.options import PLACEMENT, Placement
from glancekit.services.rule_files import RuleFiles
from glancekit.services.world import Settings, Updating


def settings_of(config: Configuration) -> Settings:
    """Return what the configuration says about the use cases."""
    sections = (DEFAULT, "image_format", "task", STAGING_STORE)
    known = {
        name: value
        for section in sections
        for name, value in vars(config.section(section)).items()
    }
    known["schema_image_file"] = known["schema_image_file"] or _schema_beside(config.files)
    chosen: dict[str, Any] = {field.name: known[field.name] for field in fields(Settings)}
    if config.get(DEFAULT, "use_keystone_limits"):
        chosen["user_storage_quota"] = 0
    lists = {name: tuple(value) for name, value in chosen.items() if isinstance(value, list)}
    return Settings(**{**chosen, **lists})


def updating_of(config: Configuration) -> Updating:
    """Return what the configuration says about bringing records up to date."""
    chosen = vars(config.section("updater"))
    return Updating(**{**chosen, "lifecycle": tuple(chosen["lifecycle"])})


def _schema_beside(files: Sequence[Path]) -> str | None:
    """Return the file of image properties that lies beside a configuration file."""
    usual = (file.parent / "schema-image.json" for file in files)
    return next((str(file) for file in usual if file.is_file()), None)


def staging_of(config: Configuration) -> Path:
    """Return the folder for image data on their way in."""
    chosen = config.get(STAGING_STORE, "filesystem_store_datadir")
    return Path(chosen) if chosen else config.data_dir / "staging"


def methods_of(config: Configuration) -> list[str]:
    """Return the import methods that the operator wants, each once.

    :raises ConfigError: when there can be no method of such a name.
    """
    wanted = list(dict.fromkeys(config.get(DEFAULT, "enabled_import_methods")))
    for name in wanted:
        if not name:
            raise ConfigError("[DEFAULT] enabled_import_methods has an empty name in it")
    return wanted


def steps_of(config: Configuration) -> list[str]:
    """Return the steps that the operator wants; upstream's ``no_op`` is none."""
    wanted = config.get("image_import_opts", "image_import_plugins")
    return [name for name in dict.fromkeys(wanted) if name not in ("", "no_op")]


def flow_settings(config: Configuration) -> FlowSettings:
    """Return what the configuration says about the flows of imports.

    :raises ConfigError: when that makes no sense.
    """
    return FlowSettings.of(config.section(FLOW_SECTION), config.data_dir)


def rule_files_of(config: Configuration) -> RuleFiles:
    """Return where the configuration says that rules are."""
    default, policy = config.section(DEFAULT), config.section("oslo_policy")
    return RuleFiles(
        folders=[file.parent for file in reversed(config.files)],
        policy_file=policy.policy_file,
        policy_dirs=policy.policy_dirs,
        property_protection_file=default.property_protection_file,
        property_protection_rule_format=default.property_protection_rule_format,
    )


def placement_of(config: Configuration, stopping: Event) -> Placement:
    """Return the rules on where copies should be; ``stopping`` ends what is being copied.

    :raises ConfigError: when they cannot be read, or make no sense.
    """
    return Placement.of(
        config.section(PLACEMENT),
        rule_files_of(config).folders,
        [entry.id for entry in config.stores],
        stopping,
    )

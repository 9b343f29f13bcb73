# SPDX-License-Identifier: Apache-2.0
"""Free properties whose meaning other services agree on: a built-in set, or an operator's file.

The file is what other image services call ``schema-image.json``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft4Validator
from jsonschema.exceptions import SchemaError

from glancekit.api.v2.schemas import UUID_PATTERN, Schema
from glancekit.core.errors import ConfigError

_OR_NULL = ["null", "string"]


@dataclass(frozen=True, slots=True)
class KnownProperties:
    """Properties with their schemas, and the names of those that every image has to have."""

    properties: Schema
    required: tuple[str, ...] = ()


def known_properties(file: str | None, *, taken: Collection[str]) -> KnownProperties:
    """Return what the file says, or the built-in set where there is none.

    :param taken: names of an image's own attributes, which a property cannot have.
    :raises ConfigError: when the file cannot be used.
    """
    if file is None:
        return KnownProperties(_built_in())
    known = _read(file)
    clash = sorted(known.properties.keys() & set(taken))
    if clash:
        raise _unusable(file, f"{', '.join(clash)}: every image has an attribute of that name")
    unknown = sorted(set(known.required) - known.properties.keys() - set(taken))
    if unknown:
        raise _unusable(file, f"{', '.join(unknown)}: required, but not among the properties")
    for name, rule in known.properties.items():
        try:
            Draft4Validator.check_schema(rule)
        except SchemaError as error:
            raise _unusable(file, f"{name}: {error.message}") from error
    return known


def _read(file: str) -> KnownProperties:
    try:
        content = orjson.loads(Path(file).read_bytes())
    except OSError as error:
        raise _unusable(file, str(error.strerror)) from error
    except orjson.JSONDecodeError as error:
        raise _unusable(file, str(error)) from error
    required: Any = []
    # Either the properties as they are, or as a schema would have them.
    if isinstance(content, dict) and isinstance(content.get("required", []), list):
        required = content.get("required", [])
        content = content.get("properties", content)
    if not isinstance(content, dict) or not all(
        isinstance(rule, dict) for rule in content.values()
    ):
        raise _unusable(file, "it must be an object of properties, each with a schema")
    if not all(isinstance(name, str) for name in required):
        raise _unusable(file, "'required' must be a list of names")
    shown = {name: {**rule, "is_base": False} for name, rule in content.items()}
    return KnownProperties(shown, tuple(required))


def _unusable(file: str, reason: str) -> ConfigError:
    return ConfigError(
        f"[DEFAULT] schema_image_file = {file} cannot be used: {reason}; mend the file",
        section="DEFAULT",
        option="schema_image_file",
        value=file,
    )


def _built_in() -> Schema:
    def known(description: str, kind: Any = "string", **rest: Any) -> Schema:
        return {"type": kind, "description": description, "is_base": False, **rest}

    return {
        "kernel_id": known(
            "ID of image stored in Glance that should be used as the kernel when booting an "
            "AMI-style image.",
            _OR_NULL,
            pattern=UUID_PATTERN,
        ),
        "ramdisk_id": known(
            "ID of image stored in Glance that should be used as the ramdisk when booting an "
            "AMI-style image.",
            _OR_NULL,
            pattern=UUID_PATTERN,
        ),
        "instance_uuid": known(
            "Metadata which can be used to record which instance this image is associated with. "
            "(Informational only, does not create an instance snapshot.)"
        ),
        "architecture": known("Operating system architecture"),
        "os_distro": known("Common name of operating system distribution"),
        "os_version": known("Operating system version as specified by the distributor."),
        "description": known("A human-readable string describing this image."),
        "cinder_encryption_key_id": known(
            "Identifier in the OpenStack Key Management Service for the encryption key for the "
            "Block Storage Service to use when mounting a volume created from this image"
        ),
        "cinder_encryption_key_deletion_policy": known(
            "States the condition under which the Image Service will delete the object associated "
            "with the 'cinder_encryption_key_id' image property.  If this property is missing, "
            "the Image Service will take no action",
            enum=["on_image_deletion", "do_not_delete"],
        ),
    }

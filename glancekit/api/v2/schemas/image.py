# SPDX-License-Identifier: Apache-2.0
"""The schema of an image and of a list of images, with what this operator allows in it."""

from __future__ import annotations

from typing import Any

from glancekit.api.v2.schemas import UUID_PATTERN, Schema
from glancekit.api.v2.schemas.known_properties import known_properties
from glancekit.core.model.image import Visibility
from glancekit.core.model.status import ImageStatus
from glancekit.services.attributes import MAX_INT, MAX_NAME
from glancekit.services.world import Settings


def _shown(kind: Any, description: str, **rest: Any) -> Schema:
    """Describe what a client is shown and cannot set."""
    return {"type": kind, "readOnly": True, "description": description, **rest}


def _given(kind: Any, description: str, **rest: Any) -> Schema:
    """Describe what a client may set."""
    return {"type": kind, "description": description, **rest}


_OR_NULL = ["null", "string"]


def _base_properties(settings: Settings) -> Schema:
    return {
        "id": _given("string", "An identifier for the image", pattern=UUID_PATTERN),
        "name": _given(_OR_NULL, "Descriptive name for the image", maxLength=MAX_NAME),
        "status": _shown("string", "Status of the image", enum=[*ImageStatus]),
        "visibility": _given("string", "Scope of image accessibility", enum=sorted(Visibility)),
        "protected": _given("boolean", "If true, image will not be deletable."),
        "os_hidden": _given("boolean", "If true, image will not appear in default image list."),
        "checksum": _shown(_OR_NULL, "md5 hash of image contents.", maxLength=32),
        "os_hash_algo": _shown(_OR_NULL, "Algorithm to calculate the os_hash_value", maxLength=64),
        "os_hash_value": _shown(
            _OR_NULL,
            "Hexdigest of the image contents using the algorithm specified by the os_hash_algo",
            maxLength=128,
        ),
        "owner": _given(_OR_NULL, "Owner of the image", maxLength=MAX_NAME),
        "size": _shown(["null", "integer"], "Size of image file in bytes"),
        "virtual_size": _shown(["null", "integer"], "Virtual size of image in bytes"),
        "container_format": _given(
            _OR_NULL, "Format of the container", enum=[None, *settings.container_formats]
        ),
        "disk_format": _given(_OR_NULL, "Format of the disk", enum=[None, *settings.disk_formats]),
        "created_at": _shown("string", "Date and time of image registration"),
        "updated_at": _shown("string", "Date and time of the last image modification"),
        "tags": _given(
            "array",
            "List of strings related to the image",
            items={"type": "string", "maxLength": MAX_NAME},
        ),
        "direct_url": _shown("string", "URL to access the image file kept in external store"),
        "min_ram": _given(
            "integer", "Amount of ram (in MB) required to boot image.", minimum=0, maximum=MAX_INT
        ),
        "min_disk": _given(
            "integer",
            "Amount of disk space (in GB) required to boot image.",
            minimum=0,
            maximum=MAX_INT,
        ),
        "self": _shown("string", "An image self url"),
        "file": _shown("string", "An image file url"),
        "stores": _shown("string", "Store in which image data resides."),
        "schema": _shown("string", "An image schema url"),
        "locations": location_schema(),
    }


def location_schema() -> Schema:
    """Return the schema of the list of an image's locations."""
    item = {
        "type": "object",
        "properties": {
            "url": {"type": "string", "maxLength": MAX_NAME},
            "metadata": {"type": "object"},
            "validation_data": {
                "description": "Values to be used to populate the corresponding image properties.",
                "type": "object",
                "writeOnly": True,
                "additionalProperties": False,
                "properties": {
                    "checksum": {"type": "string", "minLength": 32, "maxLength": 32},
                    "os_hash_algo": {"type": "string", "maxLength": 64},
                    "os_hash_value": {"type": "string", "maxLength": 128},
                },
                "required": ["os_hash_algo", "os_hash_value"],
            },
        },
        "required": ["url", "metadata"],
    }
    return _given(
        "array", "A set of URLs to access the image file kept in external store", items=item
    )


def image_schema(settings: Settings) -> Schema:
    """Return the schema of an image. Every property that it does not name is a string."""
    base = _base_properties(settings)
    known = known_properties(settings.schema_image_file, taken=base.keys())
    schema: Schema = {
        "name": "image",
        "properties": {**known.properties, **base},
        "additionalProperties": {"type": "string"},
        "links": [
            {"rel": "self", "href": "{self}"},
            {"rel": "enclosure", "href": "{file}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }
    if known.required:
        schema["required"] = [*known.required]
    return schema


def images_schema(settings: Settings) -> Schema:
    """Return the schema of a list of images."""
    return {
        "name": "images",
        "properties": {
            "images": {"type": "array", "items": image_schema(settings)},
            "schema": {"type": "string"},
            "next": {"type": "string"},
            "first": {"type": "string"},
        },
        "links": [
            {"rel": "next", "href": "{next}"},
            {"rel": "first", "href": "{first}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }

# SPDX-License-Identifier: Apache-2.0
"""The schema of an image's member and of a list of members."""

from __future__ import annotations

from glancekit.api.v2.schemas import UUID_PATTERN, Schema
from glancekit.core.model.image import MemberStatus


def member_schema() -> Schema:
    """Return the schema of one member."""
    return {
        "name": "member",
        "properties": {
            "member_id": {
                "type": "string",
                "description": "An identifier for the image member (tenantId)",
            },
            "image_id": {
                "type": "string",
                "description": "An identifier for the image",
                "pattern": UUID_PATTERN,
            },
            "created_at": {
                "type": "string",
                "description": "Date and time of image member creation",
            },
            "updated_at": {
                "type": "string",
                "description": "Date and time of last modification of image member",
            },
            "status": {
                "type": "string",
                "description": "The status of this image member",
                "enum": [*MemberStatus],
            },
            "schema": {"type": "string", "readOnly": True},
        },
    }


def members_schema() -> Schema:
    """Return the schema of a list of members."""
    return {
        "name": "members",
        "properties": {
            "members": {"type": "array", "items": member_schema()},
            "schema": {"type": "string"},
        },
        "links": [{"rel": "describedby", "href": "{schema}"}],
    }

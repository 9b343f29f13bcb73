# SPDX-License-Identifier: Apache-2.0
"""The JSON schemas that the API shows to clients and holds their requests against."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

UUID_PATTERN = (
    "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
)

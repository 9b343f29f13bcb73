# SPDX-License-Identifier: Apache-2.0
"""Which stores a configuration has, and in which of them a location without a name is."""

from __future__ import annotations

from pathlib import Path

import pytest
from glancekit_glance_adoption.config_file import places_of

from glancekit.plugin import Configuration, MultiStrOpt, StrOpt

FOLDERS = [
    StrOpt("filesystem_store_datadir", default="$data_dir/stores"),
    MultiStrOpt("filesystem_store_datadirs", default=[]),
]


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("file:///var/lib/glance/images/i", "plain"),
        ("file:///srv/one/i", "one"),
        ("file:///srv/b/i", "several"),
        ("file:///elsewhere/i", "one"),
    ],
)
def test_a_file_is_in_the_store_that_has_its_folder(tmp_path: Path, url: str, store: str) -> None:
    file = tmp_path / "glance-api.conf"
    file.write_text(
        "[DEFAULT]\nenabled_backends = plain:file, one:file, several:file\n"
        "[glance_store]\ndefault_backend = one\n"
        "[one]\nfilesystem_store_datadir = /srv/one\n"
        "[several]\nfilesystem_store_datadirs = /srv/a:1\nfilesystem_store_datadirs = /srv/b\n"
    )
    config = Configuration([file])
    for entry in config.stores:
        config.register_store(entry.id, FOLDERS)
    assert places_of(config).store_of(url, {}) == store

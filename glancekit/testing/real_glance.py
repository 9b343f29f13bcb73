# SPDX-License-Identifier: Apache-2.0
"""The original service for tests: Glance as it is released, a process on a port of its own.

Making its environment is the business of ``tools/glance.sh``; here a database of it is copied and
served. It believes identity headers, so that nobody has to log in.
"""

from __future__ import annotations

import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from glancekit.testing import servers
from glancekit.testing.servers import START_LIMIT, SingleServer, free_port

ENVIRONMENT = "GLANCEKIT_TEST_GLANCE"
"""Environment variable that names the environment; default is .venv-glance here or above."""

MANAGE_LIMIT = 900
"""Seconds that ``glance-manage`` has for one of its works."""

ADMIN: Mapping[str, str] = {
    "X-Identity-Status": "Confirmed",
    "X-User-Id": "operator",
    "X-Project-Id": "operators",
    "X-Roles": "admin,manager,member,reader,service",
}
"""Who may see everything, in the headers that it believes."""

_CONFIG = """
[DEFAULT]
log_file = {folder}/glance.log
enabled_backends = {backends}
show_multiple_locations = true
show_image_direct_url = true
enabled_import_methods = [glance-direct,web-download]
[glance_store]
default_backend = local
[local]
filesystem_store_datadir = {folder}/images
[os_glance_staging_store]
filesystem_store_datadir = {folder}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {folder}/tasks
[database]
connection = {connection}
sqlite_synchronous = false
[paste_deploy]
config_file = {folder}/paste.ini
[import_filtering_opts]
allowed_hosts = [127.0.0.1]
allowed_ports = []
"""

_PASTE = """
[pipeline:glance-api]
pipeline = versionnegotiation context rootapp
[composite:rootapp]
paste.composite_factory = glance.api:root_app_factory
/: versions
/v2: v2
[app:versions]
paste.app_factory = glance.api.versions:create_resource
[app:v2]
paste.app_factory = glance.api.v2.router:API.factory
[filter:versionnegotiation]
paste.filter_factory = glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory
[filter:context]
paste.filter_factory = glance.api.middleware.context:ContextMiddleware.factory
"""


def find_environment() -> Path | None:
    """Return the environment that a Glance can be started from, if there is one."""
    return servers.find_environment(ENVIRONMENT, ".venv-glance", has="data")


def missing() -> str | None:
    """Return why there is no Glance to test against, None when there is one."""
    if find_environment() is None:
        return "Glance is not installed: sh tools/glance.sh .venv-glance"
    return None


class RealGlance(SingleServer):
    """One Glance with a file store ``local`` and an http store ``web``, in a folder of its own."""

    def __init__(
        self,
        environment: Path,
        folder: Path,
        *,
        connection: str | None = None,
        images: Path | None = None,
        with_metadefs: bool = True,
        more: str = "",
    ) -> None:
        """Write its configuration into a folder that does not exist yet.

        :param connection: the URL of its database, which is to be made with ``sync``. Default: a
            copy of the environment's SQLite file, with all metadata definitions or none.
        :param images: the folder of its file store. Default: one of its own.
        :param more: further lines of configuration, beginning in the last section.
        """
        folder.mkdir(parents=True)
        if connection is None:
            source = "glance.sqlite" if with_metadefs else "empty.sqlite"
            shutil.copy(environment / "data" / source, folder / "glance.sqlite")
            connection = f"sqlite:///{folder}/glance.sqlite"
        self.connection = connection
        self.images = images or folder / "images"
        self.images.mkdir(exist_ok=True)
        self._environment = environment
        self._folder = folder
        super().__init__(folder / "server.log")
        self.port = free_port()
        self.config = folder / "glance-api.conf"
        text = _CONFIG.format(
            folder=folder, backends="local:file, web:http", connection=connection
        )
        text = text.replace(f"{folder}/images", str(self.images))
        self.config.write_text(text + more)
        (folder / "paste.ini").write_text(_PASTE)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *words: str) -> None:
        """Run ``glance-manage``.

        :raises AssertionError: when it fails.
        """
        program = self._environment / "bin" / "glance-manage"
        command = [str(program), "--config-file", str(self.config), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=MANAGE_LIMIT)
        assert done.returncode == 0, done.stderr[-2000:]

    def sync(self, *, with_metadefs: bool = True) -> None:
        """Make its schema, and load all metadata definitions that come with it."""
        self.manage("db_sync")
        if with_metadefs:
            self.manage("db_load_metadefs", str(self._environment / "etc/glance/metadefs"))

    def command(self) -> Sequence[str]:
        """See the base."""
        python = str(self._environment / "bin" / "python")
        command = [python, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "4"]
        return [*command, "--bind", f"127.0.0.1:{self.port}", "glance.wsgi.api:application"]

    def environment(self) -> Mapping[str, str]:
        """See the base."""
        return {"OS_GLANCE_CONFIG_DIR": str(self._folder)}

    def answers(self) -> bool:
        """See the base."""
        try:
            with urllib.request.urlopen(f"{self.url}/versions", timeout=START_LIMIT) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

# SPDX-License-Identifier: Apache-2.0
"""The original service for tests: Glance as it is released, a process on a port of its own.

Making its environment is the business of ``tools/glance.sh``; here a database of it is copied and
served. It believes identity headers, so that nobody has to log in.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

ENVIRONMENT = "GLANCEKIT_TEST_GLANCE"
"""Environment variable that names the environment; default is .venv-glance here or above."""

LIFETIME = 5400
"""Seconds after which it ends by itself, should nobody end it: more than all tests take."""

MANAGE_LIMIT = 900
"""Seconds that ``glance-manage`` has for one of its works."""

START_LIMIT = 60.0

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
    named = os.environ.get(ENVIRONMENT)
    here = Path.cwd()
    candidates = [Path(named)] if named else [p / ".venv-glance" for p in (here, *here.parents)]
    return next((path.absolute() for path in candidates if (path / "data").is_dir()), None)


def missing() -> str | None:
    """Return why there is no Glance to test against, None when there is one."""
    if find_environment() is None:
        return "Glance is not installed: sh tools/glance.sh .venv-glance"
    return None


class RealGlance:
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
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.config = folder / "glance-api.conf"
        text = _CONFIG.format(
            folder=folder, backends="local:file, web:http", connection=connection
        )
        text = text.replace(f"{folder}/images", str(self.images))
        self.config.write_text(text + more)
        (folder / "paste.ini").write_text(_PASTE)
        self._process: subprocess.Popen[bytes] | None = None

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

    def start(self) -> None:
        """Start it and wait for its first answer."""
        command = ["timeout", "--signal=KILL", str(LIFETIME)]
        command += [str(self._environment / "bin" / "python"), "-m", "gunicorn"]
        command += ["--worker-class", "gthread", "--threads", "4"]
        command += ["--bind", f"127.0.0.1:{self.port}", "glance.wsgi.api:application"]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "OS_GLANCE_CONFIG_DIR": str(self._folder)},
            )
        end = time.monotonic() + START_LIMIT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                text = (self._folder / "server.log").read_text()
                raise AssertionError(f"Glance does not start\n{text[-2000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/versions", timeout=START_LIMIT) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

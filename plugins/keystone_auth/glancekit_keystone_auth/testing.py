# SPDX-License-Identifier: Apache-2.0
"""A real Keystone for tests: a process on a port of its own, with projects, users and roles.

Making its environment is the business of ``tools/keystone.sh``; here that is copied and started.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from glancekit.testing import servers
from glancekit.testing.servers import START_LIMIT, SingleServer, free_port

ENVIRONMENT = "GLANCEKIT_TEST_KEYSTONE"
"""Environment variable that names the environment; default is .venv-keystone here or above."""

PASSWORD = "secret"

_CONFIG = """
[DEFAULT]
public_endpoint = http://127.0.0.1:{port}
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{folder}/keystone.sqlite
[token]
provider = fernet
expiration = {token_lifetime}
[fernet_tokens]
key_repository = {folder}/fernet-keys
[credential]
key_repository = {folder}/credential-keys
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = dogpile.cache.memory
"""


_SERVER = """
import sys
from wsgiref.simple_server import WSGIServer, make_server

port = int(sys.argv.pop())  # Keystone reads the command line too
WSGIServer.request_queue_size = 128
from keystone.wsgi.api import application

make_server("127.0.0.1", port, application).serve_forever()
"""


def _settings(port: int, folder: Path, token_lifetime: int) -> str:
    return _CONFIG.format(port=port, folder=folder, token_lifetime=token_lifetime)


def find_environment() -> Path | None:
    """Return the environment that a Keystone can be started from, if there is one."""
    return servers.find_environment(ENVIRONMENT, ".venv-keystone", has="data")


def missing() -> str | None:
    """Say what has to be made before a Keystone can be started; None when nothing."""
    if find_environment() is None:
        return "there is no Keystone to test with: sh tools/keystone.sh .venv-keystone"
    return None


class RealKeystone(SingleServer):
    """One Keystone, which can be stopped and started again on its data.

    Its administrator is ``admin`` in project ``admin``; the service's user is ``glance`` in
    project ``service``. The password of everybody is ``secret``.
    """

    def __init__(
        self,
        environment: Path,
        folder: Path,
        *,
        data: Path | None = None,
        token_lifetime: int = 3600,
    ) -> None:
        """Copy its data into a folder that does not exist yet.

        :param data: those of another Keystone, to have what that has. Default: empty ones.
        """
        shutil.copytree(data or environment / "data", folder)
        self._python = environment / "bin" / "python"
        self._folder = folder
        super().__init__(folder / "server.log")
        self.port = free_port()
        self._config = folder / "keystone.conf"
        self._config.write_text(_settings(self.port, folder, token_lifetime))
        self._admin = ""
        self._ids: dict[tuple[str, str], str] = {}

    @property
    def data(self) -> Path:
        """The folder of its data."""
        return self._folder

    @property
    def url(self) -> str:
        """Its address, with the API's version."""
        return f"http://127.0.0.1:{self.port}/v3"

    def command(self) -> Sequence[str]:
        """See the base. SQLite serves one process with one thread."""
        return [str(self._python), "-c", _SERVER, str(self.port)]

    def environment(self) -> Mapping[str, str]:
        """See the base."""
        return {"OS_KEYSTONE_CONFIG_FILES": str(self._config)}

    def answers(self) -> bool:
        """See the base."""
        try:
            return requests.get(self.url, timeout=START_LIMIT).ok
        except requests.RequestException:
            return False

    def fill(self) -> None:
        """Make the service's user, and the project ``demo`` with a user of each role.

        These are ``reader``, ``member``, ``manager`` and ``admin``, named like their roles.
        """
        self.make_user("glance", "service", "admin", "service")
        for role in ("reader", "member", "manager", "admin"):
            self.make_user(f"demo-{role}", "demo", role)

    # -- what an administrator does

    def make_project(self, name: str) -> str:
        """Return a project's id; it is made when it is not there."""
        return self._make("project", name, domain_id="default")

    def make_user(self, name: str, project: str, *roles: str) -> str:
        """Return the id of a user who has these roles in a project; what lacks is made."""
        project_id = self.make_project(project)
        user_id = self._make("user", name, domain_id="default", password=PASSWORD)
        for role in roles:
            role_id = self.id_of("role", role)
            self.call("PUT", f"/projects/{project_id}/users/{user_id}/roles/{role_id}")
        return user_id

    def make_endpoint(self, service_type: str, url: str) -> None:
        """Put a service into the catalog."""
        service = {"service": {"type": service_type, "name": service_type}}
        service_id = self.call("POST", "/services", service)["service"]["id"]
        for interface in ("public", "internal"):
            endpoint = {"service_id": service_id, "interface": interface, "url": url}
            endpoint["region"] = "RegionOne"
            self.call("POST", "/endpoints", {"endpoint": endpoint})

    def drop_service(self, service_type: str) -> None:
        """Take a service out of the catalog."""
        for service in self.call("GET", f"/services?type={service_type}")["services"]:
            self.call("DELETE", f"/services/{service['id']}")

    def id_of(self, kind: str, name: str) -> str:
        """Return the id of a project, user or role.

        :raises LookupError: when there is none of that name.
        """
        if (kind, name) not in self._ids:
            found = self.call("GET", f"/{kind}s?name={name}")[f"{kind}s"]
            self._ids[kind, name] = str(found[0]["id"])
        return self._ids[kind, name]

    def revoke(self, token: str) -> None:
        """Take a token back."""
        self.call("DELETE", "/auth/tokens", headers={"X-Subject-Token": token})

    def token(self, user: str, project: str | None = None, *, system: bool = False) -> str:
        """Log in and return a token, with the user's own scope where no other is named."""
        name = {"name": user, "domain": {"id": "default"}, "password": PASSWORD}
        auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": name}}}
        auth["scope"] = "unscoped"
        if project is not None:
            auth["scope"] = {"project": {"name": project, "domain": {"id": "default"}}}
        if system:
            auth["scope"] = {"system": {"all": True}}
        answer = requests.post(f"{self.url}/auth/tokens", json={"auth": auth}, timeout=30)
        answer.raise_for_status()
        return answer.headers["X-Subject-Token"]

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Any:
        """Ask something as the administrator."""
        self._admin = self._admin or self.token("admin", "admin")
        answer = requests.request(
            method,
            self.url + path,
            json=body,
            headers={"X-Auth-Token": self._admin, **(headers or {})},
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    # -- how

    def _make(self, kind: str, name: str, **fields: Any) -> str:
        try:
            return self.id_of(kind, name)
        except LookupError:
            body = {kind: {"name": name, **fields}}
            made = str(self.call("POST", f"/{kind}s", body)[kind]["id"])
            self._ids[kind, name] = made
            return made

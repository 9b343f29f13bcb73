# SPDX-License-Identifier: Apache-2.0
"""A real Swift for tests: proxy, account, container and object server on ports of their own.

No running service imports it. Making its environment is the business of ``tools/swift.sh``. Also
by hand: ``python -m glancekit_swift_store.testing FOLDER [COMMAND...]`` keeps one up for a command
that finds in its environment how to reach it, by its S3 API too; without a command, until the
standard input ends, and prints that as lines for a shell.
"""

from __future__ import annotations

import base64
import os
import pwd
import subprocess
import sys
from functools import partial
from pathlib import Path

from glancekit.testing import servers
from glancekit.testing.servers import LIFETIME, RealServer, ServerProcess, free_ports, listens

ENVIRONMENT = "GLANCEKIT_TEST_SWIFT"
"""Environment variable that names the environment; default is .venv-swift here or above."""

KINDS = ("account", "container", "object", "proxy")

USER, KEY = "test:tester", "testing"
"""Who may write, with v1 auth; the S3 API takes these, too."""

READER, READER_KEY = "test:reader", "reading"
"""Who is of the same account and may do nothing by himself."""

_SWIFT = """\
[swift-hash]
swift_hash_path_suffix = test-only

[storage-policy:0]
name = Policy-0
default = yes

[swift-constraints]
max_file_size = {max_file_size}
container_listing_limit = {listing_limit}
"""

_EACH = """\
[DEFAULT]
swift_dir = {folder}/etc
devices = {devices}
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
workers = 0
max_clients = 256
fallocate_reserve = 0
disable_fallocate = true
recon_cache_path = {folder}/cache
log_level = INFO
"""

# Its servers wait for one another longer than the half second to connect that is their default: on
# a busy machine what came late would be a 503, or missing in a listing for good.
_STORAGE = """
[pipeline:main]
pipeline = {kind}-server

[app:{kind}-server]
use = egg:swift#{kind}
disk_chunk_size = 1048576
network_chunk_size = 1048576
conn_timeout = 10
node_timeout = 60
container_update_timeout = 60
"""

# One device only, so it is not shunned for a minute after one error. Tokens that are sealed with a
# key need no memcached; those of a Keystone are asked about each time, so that it counts at once
# what becomes of them.
_PROXY = """
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck proxy-logging listing_formats bulk tempurl {auth} \
copy container-quotas account-quotas slo dlo versioned_writes symlink proxy-logging proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
error_suppression_interval = 0
allow_account_management = true
client_chunk_size = 1048576
object_chunk_size = 1048576
conn_timeout = 10
node_timeout = 60

[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:tempurl]
use = egg:swift#tempurl
[filter:copy]
use = egg:swift#copy
[filter:container-quotas]
use = egg:swift#container_quotas
[filter:account-quotas]
use = egg:swift#account_quotas
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
[filter:symlink]
use = egg:swift#symlink

[filter:s3api]
use = egg:swift#s3api
location = us-east-1
dns_compliant_bucket_names = true

[filter:tempauth]
use = egg:swift#tempauth
fernet_key_test = {fernet_key}
active_fernet_key_id = test
token_life = {token_lifetime}
user_admin_admin = admin .admin .reseller_admin
user_test_tester = testing .admin
user_test_reader = reading

[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = {keystone}
auth_type = password
auth_url = {keystone}
username = {service_user}
password = {service_password}
project_name = service
project_domain_id = default
user_domain_id = default
delay_auth_decision = true
service_token_roles_required = true
token_cache_time = -1

[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin, member
reseller_admin_role = ResellerAdmin
"""

# swift.conf counts as the servers are imported, and only from this folder when it is told before.
# The alarm ends the process where nobody else does: a server leaves the process group that it was
# started in, so nothing in front of it could.
_SERVER = """\
import importlib, signal, sys
from swift.common import utils

kind, etc, lifetime = sys.argv[1:4]
signal.alarm(int(lifetime))
utils.set_swift_dir(etc)
from swift.common import constraints

constraints.reload_constraints()
sys.argv[1:] = [f"{etc}/{kind}-server.conf", "-v"]
package = "swift.obj" if kind == "object" else f"swift.{kind}"
sys.exit(importlib.import_module(f"{package}.server").main())
"""

_RINGS = """\
import sys
from swift.common.ring import RingBuilder

etc, *ports = sys.argv[1:]
for kind, port in zip(("account", "container", "object"), map(int, ports)):
    builder = RingBuilder(part_power=4, replicas=1, min_part_hours=0)
    device = dict(id=0, region=1, zone=1, weight=1.0, device="d1", meta="")
    here = dict(ip="127.0.0.1", port=port)
    here.update(replication_ip="127.0.0.1", replication_port=port)
    builder.add_dev(dict(device, **here))
    builder.rebalance()
    builder.get_ring().save(f"{etc}/{kind}.ring.gz")
"""


def find_environment() -> Path | None:
    """Return the environment that a Swift can be started from, if there is one."""
    return servers.find_environment(ENVIRONMENT, ".venv-swift", has="bin/swift-ring-builder")


def missing() -> str | None:
    """Say what has to be made before a Swift can be started; None when nothing."""
    if find_environment() is None:
        return "there is no Swift to test with: sh tools/swift.sh .venv-swift"
    return None


class RealSwift(RealServer):
    """One Swift with one replica, which can be stopped and started again on its data.

    It knows its users itself (v1 auth), or asks the Keystone whose URL it is given. That one then
    needs the user ``service_user`` with the role ``service`` in the project ``service``, and an
    endpoint of the type ``object-store`` with the URL ``endpoint``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keystone: str | None = None,
        service_user: str = "swift",
        service_password: str = "secret",
        token_lifetime: int = 86400,
        max_file_size: int = 5368709122,
        listing_limit: int = 10000,
        devices: Path | None = None,
    ) -> None:
        """Write its configuration.

        :param devices: where its data is to be, below the folder by default. The file system
            must know extended attributes.
        """
        environment = find_environment()
        if environment is None:
            raise RuntimeError(missing())
        self._python = environment / "bin" / "python"
        self._folder = folder
        self._ports = dict(zip(KINDS, free_ports(len(KINDS)), strict=True))
        self._devices = devices or folder / "devices"
        # A server leaves the session that it was started in, so it ends itself.
        self._processes = {
            kind: ServerProcess(folder / f"{kind}.log", lifetime=None) for kind in KINDS
        }
        self._fernet_key = _fernet_key()
        for name in ("etc", "cache"):
            (folder / name).mkdir(parents=True)
        (self._devices / "d1").mkdir(parents=True, exist_ok=True)
        self._write_configuration(
            auth="s3api tempauth" if keystone is None else "authtoken keystoneauth",
            keystone=keystone or "",
            service_user=service_user,
            service_password=service_password,
            token_lifetime=str(token_lifetime),
            max_file_size=str(max_file_size),
            listing_limit=str(listing_limit),
            fernet_key=self._fernet_key,
        )

    @property
    def devices(self) -> Path:
        """The folder its data is in."""
        return self._devices

    # -- how it is reached

    @property
    def port(self) -> int:
        """The proxy's."""
        return self._ports["proxy"]

    @property
    def url(self) -> str:
        """Its address; the S3 API's, too."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def auth_url(self) -> str:
        """Where v1 auth gives tokens."""
        return f"{self.url}/auth/v1.0"

    @property
    def endpoint(self) -> str:
        """What the catalog of a Keystone must say."""
        return f"{self.url}/v1/AUTH_%(project_id)s"

    # -- its life

    def start(self, *kinds: str) -> None:
        """Start its servers, or some of them, and wait until they listen."""
        for kind in kinds or KINDS:
            self._processes[kind].launch(self._command(kind))
        for kind in kinds or KINDS:
            self._processes[kind].await_answer(partial(listens, self._ports[kind]))

    def stop(self, *kinds: str) -> None:
        """End its servers, or some of them."""
        for kind in kinds or KINDS:
            self._processes[kind].kill()

    def freeze(self, *kinds: str) -> None:
        """Let its servers hang: they take connections and never answer."""
        for kind in kinds or KINDS:
            self._processes[kind].freeze()

    def thaw(self, *kinds: str) -> None:
        """Let them go on."""
        for kind in kinds or KINDS:
            self._processes[kind].thaw()

    def forget_tokens(self) -> None:
        """Let no token count that was given before. Takes a restart of the proxy."""
        path = self._folder / "etc" / "proxy-server.conf"
        text = path.read_text()
        path.write_text(text.replace(self._fernet_key, fresh := _fernet_key()))
        self._fernet_key = fresh
        self.stop("proxy")
        self.start("proxy")

    # -- how

    def _command(self, kind: str) -> list[str]:
        command = [str(self._python), "-W", "ignore", "-c", _SERVER]
        return [*command, kind, str(self._folder / "etc"), str(LIFETIME)]

    def _write_configuration(self, **facts: str) -> None:
        etc = self._folder / "etc"
        (etc / "swift.conf").write_text(_SWIFT.format(**facts))
        for kind, port in self._ports.items():
            text = _EACH + (_PROXY if kind == "proxy" else _STORAGE)
            here = {"folder": str(self._folder), "devices": str(self._devices)}
            settings = text.format(**here, **facts, kind=kind, port=port, user=_user())
            (etc / f"{kind}-server.conf").write_text(settings)
        ports = [str(self._ports[kind]) for kind in KINDS[:3]]
        command = [str(self._python), "-W", "ignore", "-c", _RINGS, str(etc), *ports]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _user() -> str:
    """Return whose processes they are to be: ours."""
    return pwd.getpwuid(os.getuid()).pw_name


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def main() -> int:
    """Keep a Swift up until the standard input ends, or for as long as a command runs."""
    folder, *command = sys.argv[1:]
    with RealSwift(Path(folder).absolute()) as swift:
        found = {
            "ST_AUTH": swift.auth_url,
            "ST_USER": USER,
            "ST_KEY": KEY,
            "GLANCEKIT_TEST_S3_URL": swift.url,
            "GLANCEKIT_TEST_S3_ACCESS_KEY": USER,
            "GLANCEKIT_TEST_S3_SECRET_KEY": KEY,
        }
        if command:
            return subprocess.run(command, env={**os.environ, **found}).returncode
        print("".join(f"export {name}={value}\n" for name, value in found.items()), flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())

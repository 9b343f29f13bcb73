# SPDX-License-Identifier: Apache-2.0
"""A real Ceph of one monitor and one OSD, for tests: in one folder, on 127.0.0.1, without root.

A manager, who knows how much is in each pool, is started when it is asked for.

No running service imports it. Also by hand: ``python -m glancekit_rbd_store.testing FOLDER`` keeps
one up until its standard input ends, and prints the path of its ceph.conf.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from glancekit.testing.servers import START_LIMIT, RealServer, ServerProcess, free_port
from glancekit_rbd_store.bindings import bindings

PACKAGES = "ceph-mon ceph-osd ceph-mgr python3-rados python3-rbd"
PROGRAMS = ("ceph-mon", "ceph-osd", "ceph-mgr", "monmaptool")
POOLS = ("images", "data", "volumes")

_USERS = {
    "admin": {"mon": "allow *", "osd": "allow *"},
    "glance": {"mon": "profile rbd", "osd": "profile rbd pool=images, profile rbd pool=data"},
    "cinder": {
        "mon": "profile rbd",
        "osd": "profile rbd pool=volumes, profile rbd-read-only pool=images",
    },
}

# What it takes for one OSD on a file to be quick, to need no manager, to notice within seconds
# that it was restarted or marked down, and to log each request that waits for long.
_CONF = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{port}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
ms bind ipv6 = false
keyring = {folder}/ceph.$name.keyring
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
run dir = {folder}
admin socket =
crash dir = {folder}
log file = {folder}/$name.log
log to stderr = false
err to stderr = false
osd pool default size = {osds}
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd pool default read lease ratio = 0.25
[client]
log file =
objecter tick interval = 1
objecter timeout = 2
[mon]
mon data = {folder}/mon.a
keyring = {folder}/mon.a/keyring
mon cluster log file = {folder}/cluster.log
mon allow pool delete = true
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail warn = 1
mon data avail crit = 0
mon mgr mkfs grace = 315360000
paxos propose interval = 0.02
paxos min wait = 0.01
[mgr]
mgr data = {folder}/mgr.a
mgr initial modules =
mgr tick period = 1
mgr stats period = 1
[osd]
osd data = {folder}/osd.$id
osd journal =
osd objectstore = bluestore
bluestore block size = {size}
bluestore block create = true
bdev aio poll ms = 5
osd memory target = 1073741824
osd op num shards = 2
osd op num threads per shard = 2
osd max object name len = 2048
osd client watch timeout = 12
osd max markdown count = 100
osd mon heartbeat interval = 1
osd aggregated slow ops logging = false
osd op complaint time = 5
"""


def missing() -> str | None:
    """Say what has to be installed before a cluster can be started; None when nothing."""
    if not all(map(shutil.which, PROGRAMS)):
        return f"needs a Ceph; run: apt-get install --no-install-recommends {PACKAGES}"
    try:
        bindings()
    except Exception as error:
        return str(error)
    return None


class Cluster(RealServer):
    """A Ceph of one's own. Pools: ``images``, ``data``, ``volumes``; users as in ``_USERS``.

    With ``erasure_coded`` there are three OSDs, over which ``data`` is spread so that one may go.
    """

    def __init__(self, folder: Path, *, size: int = 4 << 30, erasure_coded: bool = False) -> None:
        self.folder = folder
        self.conf = folder / "ceph.conf"
        self.fsid = str(uuid.uuid4())
        self._size = size
        self._erasure_coded = erasure_coded
        self._osds = tuple(range(3 if erasure_coded else 1))
        self._daemons: dict[str, ServerProcess] = {}
        self._clients: dict[str, Any] = {}

    def stop(self) -> None:
        """End the daemons and forget the data."""
        self.disconnect()
        for daemon in self._daemons.values():
            daemon.kill()  # told to stop, an OSD would wait for its monitor
        self._daemons.clear()
        for number in self._osds:
            shutil.rmtree(self.folder / f"osd.{number}", ignore_errors=True)

    def disconnect(self) -> None:
        """End all connections that ``client`` made."""
        for client in self._clients.values():
            client.shutdown()
        self._clients.clear()

    def client(self, user: str) -> Any:
        """Return the one connected ``rados.Rados`` of a user."""
        if user not in self._clients:
            self._clients[user] = self._connect(user)
        return self._clients[user]

    def command(self, prefix: str, **arguments: Any) -> bytes:
        """Give the monitor a command as the administrator."""
        asked = json.dumps({"prefix": prefix, **arguments})
        code, out, problem = self.client("admin").mon_command(asked, b"")
        if code:
            raise RuntimeError(f"{prefix}: {problem} ({code})")
        return bytes(out)

    def freeze(self) -> None:
        """Stop the first OSD in its tracks: it takes connections and answers nothing."""
        self._daemons["osd.0"].freeze()

    def thaw(self) -> None:
        """Let that OSD go on, and return when it serves again.

        It is marked down, as the monitor of a larger cluster would have it by then. Left alone,
        Ceph 16 may park all requests to a placement group for ever (its tracker's 61650): where
        one of them is faster than the renewal of the group's lease, and there is one replica.
        """
        before = self._up_from(0)
        self._daemons["osd.0"].thaw()
        self.command("osd down", ids=["0"])
        self._wait(lambda: self._up_from(0) > before, "the OSD to be back")
        for pool in POOLS:  # to list one takes an answer of each placement group
            with self.client("admin").open_ioctx(pool) as ioctx:
                list(ioctx.list_objects())

    def freeze_monitor(self) -> None:
        """Stop the monitor in its tracks: who is connected goes on with the OSDs."""
        self._daemons["mon"].freeze()

    def thaw_monitor(self) -> None:
        """Let the monitor go on."""
        self._daemons["mon"].thaw()

    def restart_monitor(self) -> None:
        """Kill the monitor and start it again."""
        self._daemons.pop("mon").kill()
        self._spawn("mon", "ceph-mon", "-i", "a")

    def change_key(self, user: str) -> None:
        """Give a user another key, as is done when the old one has become known."""
        self.disconnect()
        entity = f"client.{user}"
        self.command("auth del", entity=entity)
        block = f"[{entity}]\n\tkey = {_new_key()}\n"
        _write_secret(self.folder / f"ceph.{entity}.keyring", block)
        rights = "".join(f'\tcaps {of} = "{right}"\n' for of, right in _USERS[user].items())
        asked = json.dumps({"prefix": "auth import"})
        code, _, problem = self.client("admin").mon_command(asked, (block + rights).encode())
        if code:
            raise RuntimeError(f"auth import: {problem} ({code})")

    def restart_osd(self) -> None:
        """Kill the first OSD and start it again."""
        self.kill_osd(0)
        self._spawn("osd.0", "ceph-osd", "-i", "0")

    def kill_osd(self, number: int) -> None:
        """End an OSD for good, and have the monitor know."""
        self._daemons.pop(f"osd.{number}").kill()
        self.command("osd down", ids=[str(number)])

    def set_full(self, full: bool) -> None:
        """Make the cluster think that it is full, or no longer. Needs some data in it."""
        near, back, limit = (0.0001, 0.0001, 0.0001) if full else (0.85, 0.9, 0.95)
        ratios = [
            ("osd set-nearfull-ratio", near),
            ("osd set-backfillfull-ratio", back),
            ("osd set-full-ratio", limit),
        ]
        for prefix, ratio in ratios if full else reversed(ratios):
            self.command(prefix, ratio=ratio)
        self._wait(
            lambda: ("OSD_FULL" in str(self.command("health", format="json"))) is full,
            "the cluster to notice how full it is",
        )

    def start_manager(self) -> None:
        """Have what is in each pool counted, from some seconds after now on."""
        if "mgr" not in self._daemons:
            (self.folder / "mgr.a").mkdir()
            self._spawn("mgr", "ceph-mgr", "-i", "a")

    def set_quota(self, pool: str, most: int) -> None:
        """Let a pool hold so many bytes, 0 for any number, and wait until its OSD goes by it.

        A pool whose quota is new must hold more already.
        """
        self.start_manager()
        self.command("osd pool set-quota", pool=pool, field="max_bytes", val=str(most))
        self._wait(
            lambda: self._has_met_its_quota(pool) is bool(most),
            f"the manager to count what is in {pool}",
        )

    def _up_from(self, number: int) -> int:
        """Return which version of the monitor's map an OSD is up since, 0 while it is down."""
        osds = json.loads(self.command("osd dump", format="json"))["osds"]
        (found,) = (each for each in osds if each["osd"] == number)
        return int(found["up_from"]) if found["up"] else 0

    def _has_met_its_quota(self, pool: str) -> bool:
        pools = json.loads(self.command("osd dump", format="json"))["pools"]
        (flags,) = (each["flags_names"] for each in pools if each["pool_name"] == pool)
        return "full_quota" in flags.split(",")

    # -- starting

    def start(self) -> None:
        """See the base. It is started once: its data goes as it is stopped."""
        (self.folder / "mon.a").mkdir(parents=True)
        port = free_port()
        self.conf.write_text(
            _CONF.format(
                folder=self.folder,
                fsid=self.fsid,
                port=port,
                size=self._size,
                osds=len(self._osds),
            )
        )
        seed = self._keyrings()
        monmap = self.folder / "monmap"
        address = f"[v2:127.0.0.1:{port}/0]"
        _run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", address, str(monmap))
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", str(monmap), "--keyring", str(seed))
        self._spawn("mon", "ceph-mon", "-i", "a")
        for number in self._osds:
            self._start_osd(number)
        for pool in POOLS:
            self._create_pool(pool)
            self.command("osd pool application enable", pool=pool, app="rbd")
        for pool in self._replicated:  # returns when the pool really serves
            with self.client("admin").open_ioctx(pool) as ioctx:
                bindings().rbd.RBD().pool_init(ioctx, True)

    def _start_osd(self, number: int) -> None:
        (self.folder / f"osd.{number}").mkdir()
        osd_id, name = str(uuid.uuid4()), str(number)
        self._run("ceph-osd", "-i", name, "--mkfs", "--osd-uuid", osd_id, "--no-mon-config")
        self.command("osd new", uuid=osd_id, id=number)
        self._spawn(f"osd.{number}", "ceph-osd", "-i", name)

    @property
    def _replicated(self) -> tuple[str, ...]:
        return tuple(pool for pool in POOLS if not (self._erasure_coded and pool == "data"))

    def _create_pool(self, pool: str) -> None:
        if pool in self._replicated:
            self.command("osd pool create", pool=pool)
            return
        profile = ["k=2", "m=1", "crush-failure-domain=osd"]
        self.command("osd erasure-code-profile set", name="spread", profile=profile)
        self.command(
            "osd pool create", pool=pool, pool_type="erasure", erasure_code_profile="spread"
        )
        self.command("osd pool set", pool=pool, var="min_size", val="2")
        # What images need that are written in place.
        self.command("osd pool set", pool=pool, var="allow_ec_overwrites", val="true")

    def _keyrings(self) -> Path:
        """Write each one's key, and all with their rights for the monitor."""
        daemons: dict[str, Mapping[str, str]] = {
            "mon.": {"mon": "allow *"},
            "mgr.a": {"mon": "allow profile mgr", "osd": "allow *"},
            **{
                f"osd.{number}": {"mon": "allow profile osd", "osd": "allow *"}
                for number in self._osds
            },
        }
        everything = ""
        for name, rights in {**daemons, **{f"client.{n}": r for n, r in _USERS.items()}}.items():
            block = f"[{name}]\n\tkey = {_new_key()}\n"
            _write_secret(self.folder / f"ceph.{name}.keyring", block)
            everything += block + "".join(
                f'\tcaps {of} = "{right}"\n' for of, right in rights.items()
            )
        seed = self.folder / "seed.keyring"
        _write_secret(seed, everything)
        return seed

    def _run(self, program: str, *arguments: str) -> None:
        _run(program, "-c", str(self.conf), *arguments)

    def _spawn(self, role: str, program: str, *arguments: str) -> None:
        daemon = self._daemons[role] = ServerProcess(self.folder / f"{role}.out")
        daemon.launch([program, "-f", "-c", str(self.conf), *arguments])

    def _connect(self, user: str) -> Any:
        rados = bindings().rados
        end = time.monotonic() + START_LIMIT
        while True:
            client = rados.Rados(
                conffile=str(self.conf),
                rados_id=user,
                conf={"client_mount_timeout": "2", "rados_osd_op_timeout": str(int(START_LIMIT))},
            )
            try:
                client.connect()
                return client
            except rados.Error:
                client.shutdown()
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + START_LIMIT
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {START_LIMIT:.0f} s for {what}")
            time.sleep(0.1)


def objects_of_images(pool: Any) -> list[str]:
    """Return what there is of images but their mere names."""
    kinds = ("rbd_data.", "rbd_header.", "rbd_object_map.", "glancekit_claim.")
    return [each.key for each in pool.list_objects() if each.key.startswith(kinds)]


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")


def _new_key() -> str:
    """A cephx key: type 1 (AES), time of creation, length, 16 random bytes."""
    head = struct.pack("<hiih", 1, int(time.time()), 0, 16)
    return base64.b64encode(head + secrets.token_bytes(16)).decode()


def _write_secret(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


if __name__ == "__main__":
    with Cluster(Path(sys.argv[1]).absolute()) as cluster:
        print(cluster.conf, flush=True)
        sys.stdin.read()

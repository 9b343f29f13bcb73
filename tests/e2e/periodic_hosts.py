# SPDX-License-Identifier: Apache-2.0
"""Three hosts that take turns at periodic tasks, while one is killed and one is cut off.

A program of its own, for any coordination and any shared database: see --help. It counts what
the tasks themselves wrote down: when each began, and when each was at an item. With --partition
each host is in a network namespace of its own, which takes root; a host's cable is then pulled.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

INTERVALS = {"tick": 2.0, "tock": 3.0}
"""Seconds; the task ``long`` besides works on items for as long as it may."""

PLUGIN = """
import os, time
from pathlib import Path
from glancekit.plugin import PeriodicTask, hookimpl, require_turn

api_level = 1
BOOK, HOST = Path(os.environ["PROBE_BOOK"]), os.environ["PROBE_HOST"]

def write(*words):
    line = " ".join(str(word) for word in (*words, HOST, time.clock_gettime(time.CLOCK_BOOTTIME)))
    with BOOK.open("a") as book:
        book.write(line + chr(10))

def items():
    while True:
        require_turn()
        write("item")
        time.sleep(0.1)
        write("done")

@hookimpl
def register_periodic_tasks():
    tasks = [PeriodicTask(name=name, interval=interval, run=lambda name=name: write(name))
             for name, interval in INTERVALS.items()]
    return [*tasks, PeriodicTask(name="long", interval=1.0, run=items)]
"""

EARLY = 0.5
"""Of its interval, by which a start may seem early: the one before was written into the records a
moment before its task could say so here, and on a busy machine that moment is long."""

SLACK = 15.0
"""Seconds beyond a lease until another host is seen at work: looks, and a busy machine."""


class Entry(NamedTuple):
    """What a task wrote down: what, on which host, at which second."""

    what: str
    host: str
    at: float


@dataclass
class Host:
    """One ``glancekit periodic``, with a folder and perhaps a network of its own."""

    name: str
    folder: Path
    settings: Mapping[str, Mapping[str, str]]
    prefix: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self, book: Path, plugins: Path) -> None:
        """Start it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "glancekit.conf"
        sections = {**self.settings, "DEFAULT": {"data_dir": str(self.folder / "data")}}
        lines = [
            line
            for section, options in sections.items()
            for line in (f"[{section}]", *(f"{name} = {value}" for name, value in options.items()))
        ]
        config.touch(mode=0o600)
        config.write_text("\n".join(lines))
        command = [sys.executable, "-m", "glancekit.cli", "--config-file", str(config), "periodic"]
        added = {"PYTHONPATH": str(plugins), "PROBE_BOOK": str(book), "PROBE_HOST": self.name}
        with (self.folder / "periodic.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *command], stdout=log, stderr=log, env={**os.environ, **added}
            )

    def kill(self) -> None:
        """End it as the kernel does when memory runs out."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def has_ended(self) -> bool:
        """Say whether it ended by itself."""
        return self.process is not None and self.process.poll() not in (None, 0, -signal.SIGKILL)

    def stop(self) -> None:
        """Tell it to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()


class Relay:
    """Carries connections from a host's network to a server, and drops those that went silent."""

    def __init__(self, address: str, port: int, patience: int) -> None:
        self.listener = socket.create_server((address, port), backlog=50)
        self._patience = patience
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        port = self.listener.getsockname()[1]
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                # What a database server's own tcp_keepalives_* do, towards a host that vanished.
                near.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, self._patience)
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._patience * 1000)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=pair, daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
    for line in (source, sink):
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


@contextmanager
def network(number: int, ports: Sequence[int], patience: int) -> Iterator[tuple[str, str, str]]:
    """Make a namespace with one cable; yield its name, the cable, and the near end's address."""
    space, cable = f"gkp{os.getpid()}n{number}", f"gkp{os.getpid() % 100000}v{number}"
    near, far = f"10.213.{number}.1", f"10.213.{number}.2"
    with ExitStack() as undo:
        _ip("netns", "add", space)
        undo.callback(_ip, "netns", "del", space)
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("addr", "add", f"{near}/24", "dev", cable)
        _ip("link", "set", cable, "up")
        for words in (
            ("addr", "add", f"{far}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-n", space, *words)
        for port in ports:
            undo.enter_context(closing(Relay(near, port, patience).listener))
        yield space, cable, near


def may_make_networks() -> bool:
    """Say whether this user may on this machine."""
    name = f"gkp{os.getpid()}probe"
    try:
        _ip("netns", "add", name)
        _ip("netns", "del", name)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Trial:
    """The hosts, the book of what they did, and the questions that are asked of it."""

    def __init__(self, folder: Path, chosen: argparse.Namespace, stack: ExitStack) -> None:
        self._folder, self._lease = folder, chosen.lease
        folder.mkdir(parents=True, exist_ok=True)
        self._book = folder / "book"
        self._book.touch()
        self._plugins = _plugin(folder / "plugins")
        self._cables: dict[str, str] = {}
        self.hosts = {name: self._host(name, chosen, stack) for name in "abc"}
        for host in self.hosts.values():
            stack.callback(host.stop)
            host.start(self._book, self._plugins)

    def _host(self, name: str, chosen: argparse.Namespace, stack: ExitStack) -> Host:
        urls = (chosen.coordination, chosen.database)
        prefix: Sequence[str] = ()
        if chosen.partition:
            number = 1 + "abc".index(name)
            ports = sorted({urlsplit(url).port or 0 for url in urls})
            space, cable, near = stack.enter_context(network(number, ports, chosen.lease))
            self._cables[name] = cable
            prefix = ("ip", "netns", "exec", space)
            urls = tuple(_at(url, near) for url in urls)
        settings = {
            "periodic": {"coordination": urls[0], "lease": str(chosen.lease), "host": name},
            "plugins": {"plugin_start_timeout": "60"},  # the machine may be busy with other tests
            "metadata": {"driver": chosen.driver, "connection": urls[1]},
        }
        return Host(name, self._folder / name, settings, prefix)

    def entries(self) -> list[Entry]:
        """Return what was written down so far, in order of time."""
        lines = [line.split() for line in self._book.read_text().splitlines()]
        return sorted((Entry(what, host, float(at)) for what, host, at in lines), key=_at_time)

    def at_the_long_one(self, but: str = "", since: float = 0.0, limit: float = 90.0) -> Entry:
        """Return the first item that a host, but this one, is at since then."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            for entry in self.entries():
                if entry.what == "item" and entry.host != but and entry.at > since:
                    return entry
            if any(host.has_ended() for host in self.hosts.values()):
                raise AssertionError(f"a host ended\n{self.logs()}")
            time.sleep(0.1)
        raise AssertionError(f"no host is at it\n{self.logs()}")

    def kill_one(self) -> float:
        """Kill the host that is at the long task; return the seconds until another is."""
        victim = self.at_the_long_one(since=_clock()).host
        killed_at = _clock()
        self.hosts[victim].kill()
        next_one = self.at_the_long_one(but=victim, since=killed_at)
        self.hosts[victim].start(self._book, self._plugins)
        return next_one.at - killed_at

    def cut_one_off(self) -> float:
        """Pull the cable of the host at the long task; return the seconds until another is at it.

        The cable is put back later, and the host must take part again.
        """
        victim = self.at_the_long_one(since=_clock()).host
        cut_at = _clock()
        _ip("link", "set", self._cables[victim], "down")
        next_one = self.at_the_long_one(but=victim, since=cut_at)
        time.sleep(self._lease)
        _ip("link", "set", self._cables[victim], "up")
        back_at = _clock()
        for other in self.hosts.values():
            if other.name != victim:
                other.stop()
        self.at_the_long_one(since=back_at, limit=120.0)
        if self.at_the_long_one(since=_clock()).host != victim:
            raise AssertionError("the host that was cut off does not take part again")
        return next_one.at - cut_at

    def logs(self) -> str:
        """Return what the hosts said."""
        return "\n".join(
            (host.folder / "periodic.log").read_text() for host in self.hosts.values()
        )


def overlaps(entries: Sequence[Entry]) -> int:
    """Count the items that two hosts were at, at once. Who was killed is at its last no longer."""
    open_since: dict[str, float] = {}
    spans: list[tuple[float, float, str]] = []
    for entry in entries:
        if entry.what == "item":
            open_since[entry.host] = entry.at
        elif entry.what == "done" and entry.host in open_since:
            spans.append((open_since.pop(entry.host), entry.at, entry.host))
    spans.sort()
    return sum(
        later[0] < earlier[1] and later[2] != earlier[2]
        for earlier, later in itertools.pairwise(spans)
    )


def too_soon(entries: Sequence[Entry]) -> dict[str, int]:
    """Count the starts that came before their interval was over, whichever host began."""
    starts: dict[str, list[float]] = defaultdict(list)
    for entry in entries:
        starts[entry.what].append(entry.at)
    return {
        name: sum(b - a < interval * (1 - EARLY) for a, b in itertools.pairwise(starts[name]))
        for name, interval in INTERVALS.items()
    }


def _plugin(folder: Path) -> Path:
    (folder / "periodic_probe-0.dist-info").mkdir(parents=True)
    (folder / "periodic_probe-0.dist-info/METADATA").write_text(
        "Name: periodic-probe\nVersion: 0\n"
    )
    (folder / "periodic_probe-0.dist-info/entry_points.txt").write_text(
        "[glancekit.hooks]\nperiodic_probe = periodic_probe\n"
    )
    (folder / "periodic_probe.py").write_text(f"INTERVALS = {INTERVALS!r}\n{PLUGIN}")
    return folder


def _at(url: str, address: str) -> str:
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    place = f"{address}:{parts.port}"
    return urlunsplit(parts._replace(netloc=f"{user}@{place}" if user else place))


def _at_time(entry: Entry) -> float:
    return entry.at


def _clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def main() -> None:
    """Run the trial and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="An empty one.")
    parser.add_argument("--coordination", required=True, metavar="URL")
    parser.add_argument("--driver", default="postgresql", help="Of the records.")
    parser.add_argument("--database", required=True, metavar="URL")
    parser.add_argument("--lease", type=int, default=6, help="Seconds.")
    parser.add_argument("--calm", type=float, default=8.0, help="Seconds before anything happens.")
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--partition", action="store_true")
    chosen = parser.parse_args()
    if chosen.partition and not may_make_networks():
        print("network namespaces cannot be made here: run it as root", file=sys.stderr)
        chosen.partition = False
    counted: dict[str, object] = {}
    with ExitStack() as stack:
        trial = Trial(chosen.folder, chosen, stack)
        trial.at_the_long_one()
        time.sleep(chosen.calm)
        counted["after a kill"] = [round(trial.kill_one(), 1) for _ in range(chosen.kills)]
        if chosen.partition:
            counted["after a cut"] = round(trial.cut_one_off(), 1)
        entries = trial.entries()
    of: Callable[[str], int] = lambda what: sum(entry.what == what for entry in entries)  # noqa: E731
    counted["seconds"] = round(entries[-1].at - entries[0].at)
    counted["starts"] = {name: of(name) for name in INTERVALS}
    counted["too soon"] = too_soon(entries)
    counted["hosts"] = len({entry.host for entry in entries})
    counted["items"] = of("done")
    counted["at once"] = overlaps(entries)
    counted["limit"] = chosen.lease + SLACK
    print(json.dumps(counted))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Where in vSphere an image is, and how locations say so. Nothing here asks the server."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlencode

from glancekit.plugin import Location, StoreDenied
from glancekit_vmware_store.options import Datastore, Settings

SCHEME = "vsphere"
_WEB = "/folder/"
"""Where the server's web interface to the datastores begins."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file of a datastore; ``path`` has no slash before it."""

    datastore: Datastore
    path: str

    @property
    def name(self) -> str:
        """The file as tasks name it."""
        return f"[{self.datastore.name}] {self.path}"

    @property
    def target(self) -> str:
        """What a request to the web interface asks for."""
        return f"{quote(_WEB + self.path)}?{_query(self.datastore)}"


def place_of(datastore: Datastore, name: str, settings: Settings) -> Place:
    """Return where a file of the images' folder is."""
    return Place(datastore, f"{settings.folder}/{name}")


def url_of(place: Place, settings: Settings) -> str:
    """Return a location's URL, byte for byte upstream's: its path is not quoted."""
    return f"{SCHEME}://{settings.netloc}{_WEB}{place.path}?{_query(place.datastore)}"


def place_at(location: Location, settings: Settings) -> Place:
    """Return where a location is, if it is one of ours.

    :raises StoreDenied: for all that is not a file in the images' folder of a datastore that the
        operator has named: the service can read the disks of machines, its users must not.
    """
    scheme, separator, rest = location.url.partition("://")
    path, _, query = rest.partition("?")
    host, _, path = path.partition("/")
    host = host.rpartition("@")[2].lower()
    if scheme != SCHEME or not separator or "://" in rest:
        raise StoreDenied("the location's URL is not one of a file in vSphere")
    if host != settings.netloc.lower() and host not in settings.former_hosts:
        raise StoreDenied(f"{host} is not this store's server")
    folder = f"{_WEB}{settings.folder}/".removeprefix("/")
    names = path.removeprefix(folder).split("/")
    if not path.startswith(folder) or {"", ".", ".."} & set(names):
        raise StoreDenied(f"the location is not in this store's folder /{settings.folder}")
    return Place(_datastore(query, settings), path.removeprefix(_WEB.removeprefix("/")))


def _query(datastore: Datastore) -> str:
    return urlencode({"dsName": datastore.name, "dcPath": datastore.datacenter})


def _datastore(query: str, settings: Settings) -> Datastore:
    """Return which datastore is meant; an old location may leave out the datacenter."""
    asked = parse_qs(query)
    name, datacenter = asked.get("dsName", [""])[0], asked.get("dcPath", [""])[0].strip("/")
    found = [
        datastore
        for datastore in settings.datastores
        if datastore.name == name and datacenter in ("", datastore.datacenter)
    ]
    if len(found) != 1:
        raise StoreDenied(f"{datacenter}:{name} is not one of this store's datastores")
    return found[0]

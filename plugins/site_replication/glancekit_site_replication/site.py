# SPDX-License-Identifier: Apache-2.0
"""What is asked of a site, call by call, and the bytes of its images in parts.

What should be done with the answers is decided elsewhere.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol
from urllib.parse import parse_qsl, quote, urlsplit

import requests
from urllib3.exceptions import HTTPError

from glancekit_site_replication.endpoint import UPLOAD_OFFSET, Address, Endpoint
from glancekit_site_replication.failures import Absent, ReplicationError, Unanswered
from glancekit_site_replication.records import Record

PAGE = 200
"""Records asked for at a time."""

TRIES = 4
"""How often a question that changes nothing is asked until it is answered."""

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_PATCH = "application/openstack-images-v2.1-json-patch"
_OCTETS = "application/octet-stream"


class Sized(Protocol):
    """A file as ``requests`` sends it with its length."""

    len: int

    def read(self, size: int = -1) -> bytes:
        """Return so many of the next bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """How much of an upload is at a site for good: ``offset`` bytes of ``size``, called so."""

    offset: int
    size: int
    version: str | None


class Site:
    """One Images v2 service, as its administrator or as whoever the token is of."""

    def __init__(self, address: Address) -> None:
        self._endpoint = Endpoint(address)
        self.name = address.name
        self._takes_parts: bool | None = None

    def project(self) -> str | None:
        """Return the project that the caller is of there, None where that is not known here."""
        return self._endpoint.project

    # -- reading

    def images(self) -> Iterator[Record]:
        """Yield every image that the caller may see, hidden ones too."""
        for hidden in ("false", "true"):
            yield from self._list({"os_hidden": hidden})

    def named(self, name_or_id: str) -> list[Record]:
        """Return the image of an id, or else all of a name."""
        found = self.find(name_or_id) if _ID.match(name_or_id) else None
        if found is not None:
            return [found]
        name = f"eq:{name_or_id}" if ":" in name_or_id else name_or_id
        return [
            image
            for hidden in ("false", "true")
            for image in self._list({"name": name, "os_hidden": hidden})
        ]

    def find(self, image_id: str) -> Record | None:
        """Return an image, None where there is none."""
        try:
            return self._checked(self._read(_path(image_id), f"show image {image_id}"))
        except Absent:
            return None

    def members(self, image_id: str) -> Mapping[str, str]:
        """Return the projects that an image is shared with, and whether they accepted."""
        found = self._read(_path(image_id, "members"), f"list members of image {image_id}")
        return {member["member_id"]: member["status"] for member in found["members"]}

    @contextmanager
    def part(self, image_id: str, first: int, last: int) -> Iterator[requests.Response]:
        """Ask for bytes ``first`` to ``last`` of an image and give the answer, to be read from.

        :raises ReplicationError: when there is none.
        """
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Range": f"bytes={first}-{last}",
        }
        what = f"give the data of image {image_id}"
        answer = self._endpoint.ask(
            "GET", _path(image_id, "file"), what, headers=headers, stream=True
        )
        with answer:
            try:
                yield answer
            except HTTPError as error:
                raise Unanswered(f"{self.name} does not {what}: {type(error).__name__}") from error

    # -- writing

    def create(self, fields: Mapping[str, Any]) -> Record:
        """Make a record without data."""
        what = f"take image {fields['id']}"
        answer = self._endpoint.ask("POST", "/images", what, json=dict(fields))
        return _content(self.name, what, answer)

    def change(self, image_id: str, operations: Sequence[Mapping[str, Any]]) -> None:
        """Change an image by the operations of a JSON patch."""
        self._endpoint.ask(
            "PATCH",
            _path(image_id),
            f"change image {image_id}",
            headers={"Content-Type": _PATCH},
            data=json.dumps(list(operations)),
        )

    def upload(self, image_id: str, body: Sized | BinaryIO, size: int) -> None:
        """Send all bytes of an image. Nothing of them counts when it is cut off."""
        headers = {"Content-Type": _OCTETS, "x-openstack-image-size": str(size)}
        what = f"take the data of image {image_id}"
        self._endpoint.ask("PUT", _path(image_id, "file"), what, headers=headers, data=body)

    def takes_parts(self) -> bool:
        """Tell whether data can be staged in parts here, and are then stored as they were sent."""
        if self._takes_parts is None:
            try:
                told = self._read("/info/import", "tell how images are imported")
            except Absent:
                told = {}
            announced = _value(told, "stage-parts") is True
            self._takes_parts = announced and _value(told, "import-steps") == []
        return self._takes_parts

    def staged(self, image_id: str) -> Staged | None:
        """Return how much of an upload in parts is there, None where there is none."""
        what = f"tell what is staged for image {image_id}"
        try:
            found = self._read(_path(image_id, "stage"), what)
        except Absent:
            return None
        offset, size, version = found.get("offset"), found.get("size"), found.get("version")
        if not isinstance(offset, int) or not isinstance(size, int) or not 0 <= offset <= size:
            raise Unanswered(f"{self.name} does not {what}: its answer makes no sense")
        return Staged(offset=offset, size=size, version=version)

    def stage(self, image_id: str, body: Sized, where: tuple[int, int, int], version: str) -> int:
        """Send a part of an image's bytes; return how many are there then.

        ``where`` is its first byte, the one behind its last, and how many there are in all.

        :raises Clash: when it does not go on there; its fact ``offset`` says where it does.
        """
        first, end, total = where
        headers = {
            "Content-Type": _OCTETS,
            "Content-Range": f"bytes {first}-{end - 1}/{total}",
            "Upload-Version": version,
        }
        what = f"take a part of image {image_id}"
        path = _path(image_id, "stage")
        answer = self._endpoint.ask("PUT", path, what, headers=headers, data=body)
        said = answer.headers.get(UPLOAD_OFFSET, "")
        if not said.isdecimal() or not first <= int(said) <= total:
            raise ReplicationError(f"{self.name} does not {what}: it does not say how far it is")
        return int(said)

    def import_staged(self, image_id: str) -> None:
        """Have what was staged for an image become its data."""
        body = {"method": {"name": "glance-direct"}}
        what = f"import what was staged for image {image_id}"
        self._endpoint.ask("POST", _path(image_id, "import"), what, json=body)

    def pull(self, image_id: str, region: str) -> None:
        """Have the site fetch an image of the same id from a region that it knows.

        It goes on there by itself, whatever becomes of us.
        """
        method = {
            "name": "glance-download",
            "glance_image_id": image_id,
            "glance_region": region,
        }
        path = _path(image_id, "import")
        self._endpoint.ask(
            "POST", path, f"import image {image_id} from {region}", json={"method": method}
        )

    def failed_import(self, image_id: str) -> str | None:
        """Return why the newest import of an image failed, None when it did not."""
        tasks = self._read(_path(image_id, "tasks"), f"show tasks of image {image_id}")["tasks"]
        newest: Record = max(tasks, key=lambda task: str(task.get("created_at")), default={})
        return str(newest.get("message") or "") if newest.get("status") == "failure" else None

    def act(self, image_id: str, action: str) -> None:
        """Deactivate or reactivate an image."""
        self._endpoint.ask(
            "POST", _path(image_id, "actions", action), f"{action} image {image_id}"
        )

    def delete(self, image_id: str) -> None:
        """Delete an image."""
        self._endpoint.ask("DELETE", _path(image_id), f"delete image {image_id}")

    def share(self, image_id: str, project: str) -> None:
        """Share an image with a project."""
        what = f"share image {image_id} with {project}"
        self._endpoint.ask("POST", _path(image_id, "members"), what, json={"member": project})

    def mark_member(self, image_id: str, project: str, status: str) -> None:
        """Accept or refuse an image for a project."""
        what = f"mark image {image_id} as {status} by {project}"
        path = _path(image_id, "members", project)
        self._endpoint.ask("PUT", path, what, json={"status": status})

    def unshare(self, image_id: str, project: str) -> None:
        """Share an image with a project no longer."""
        what = f"share image {image_id} with {project} no longer"
        self._endpoint.ask("DELETE", _path(image_id, "members", project), what)

    # -- how it is asked

    def _list(self, query: Mapping[str, str]) -> Iterator[Record]:
        asked = {"visibility": "all", "sort": "id:asc", "limit": str(PAGE), **query}
        while True:
            page = self._read("/images", "list images", params=asked)
            yield from map(self._checked, page.get("images", ()))
            following = page.get("next")
            if not following:
                return
            asked = dict(parse_qsl(urlsplit(following).query, keep_blank_values=True))

    def _checked(self, record: Any) -> Record:
        """Insist on a record being one: its id becomes a part of file names here.

        :raises ReplicationError: when it is none.
        """
        if (
            not isinstance(record, dict)
            or not _ID.match(str(record.get("id")))
            or not all(isinstance(record.get(name), str) for name in ("status", "updated_at"))
            or not isinstance(record.get("tags"), list)
            or not all(isinstance(tag, str) for tag in record["tags"])
        ):
            raise ReplicationError(f"{self.name} shows something that is no record of an image")
        return record

    def _read(self, path: str, what: str, **request: Any) -> Mapping[str, Any]:
        """Ask something that changes nothing, again when there is no answer just now."""
        for left in reversed(range(TRIES)):
            try:
                answer = self._endpoint.ask("GET", path, what, **request)
                return _content(self.name, what, answer)
            except Unanswered:
                if not left:
                    raise
                time.sleep(0.2 * 2 ** (TRIES - left))
        raise AssertionError("the last try returns or raises")


def _content(name: str, what: str, answer: requests.Response) -> Mapping[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Unanswered(f"{name} does not {what}: its answer is no JSON object")
    return content


def _value(told: Mapping[str, Any], name: str) -> Any:
    said = told.get(name)
    return said.get("value") if isinstance(said, dict) else None


def _path(image_id: str, *further: str) -> str:
    return "/images/" + "/".join(quote(part, safe="") for part in (image_id, *further))

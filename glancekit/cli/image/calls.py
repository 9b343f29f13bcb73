# SPDX-License-Identifier: Apache-2.0
"""What the commands ask of a service, call by call. Moving bytes is transfers.py's business."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from glancekit.cli.image.endpoint import Endpoint, ask
from glancekit.cli.image.failures import InConflict, NotFound

Record = dict[str, Any]

PAGE = 200
"""Images asked for at once."""

_PATCH = "application/openstack-images-v2.1-json-patch"


def path_of(image_id: str, *further: str) -> str:
    """Return the path of an image, or of something in it."""
    return "/images/" + "/".join(quote(part, safe="") for part in (image_id, *further))


def show(endpoint: Endpoint, image_id: str) -> Record:
    """Return an image by its id."""
    record: Record = ask(endpoint, "GET", path_of(image_id), f"show image {image_id}").json()
    return record


def find(endpoint: Endpoint, name_or_id: str) -> Record:
    """Return the one image that has this id, or else this name.

    :raises NotFound: when there is none.
    :raises InConflict: when there are several.
    """
    if is_id(name_or_id):
        return show(endpoint, name_or_id)
    found = list(images(endpoint, {"name": exactly(name_or_id)}, most=2))
    if not found:
        raise NotFound(f"There is no image with the name or id {name_or_id!r}.")
    if len(found) > 1:
        raise InConflict(
            f"Several images have the name {name_or_id!r}; use an id: "
            f"glancekit image list --name {name_or_id!r}"
        )
    return found[0]


def images(endpoint: Endpoint, query: Mapping[str, Any], *, most: int | None) -> Iterator[Record]:
    """Yield images, page after page, ``most`` of them."""
    asked = {**query, "limit": str(min(PAGE, most or PAGE))}
    left = most
    while True:
        page = ask(endpoint, "GET", "/images", "list images", params=asked).json()
        batch: list[Record] = page["images"][:left]
        yield from batch
        left = None if left is None else left - len(batch)
        following = page.get("next")
        if not following or left == 0:
            return
        asked = dict(parse_qsl(urlsplit(following).query, keep_blank_values=True))
        # Tags may be asked for several times.
        if isinstance(query.get("tag"), list | tuple):
            asked["tag"] = query["tag"]


def create(endpoint: Endpoint, fields: Mapping[str, Any]) -> Record:
    """Make an image record without data."""
    record: Record = ask(endpoint, "POST", "/images", "create the image", json=fields).json()
    return record


def change(endpoint: Endpoint, image_id: str, operations: Sequence[Mapping[str, Any]]) -> Record:
    """Change an image by the operations of a JSON patch."""
    import json

    record: Record = ask(
        endpoint,
        "PATCH",
        path_of(image_id),
        f"change image {image_id}",
        headers={"Content-Type": _PATCH},
        data=json.dumps(list(operations)),
    ).json()
    return record


def delete(endpoint: Endpoint, image_id: str) -> None:
    """Delete an image."""
    ask(endpoint, "DELETE", path_of(image_id), f"delete image {image_id}")


def delete_copy(endpoint: Endpoint, image_id: str, store: str) -> None:
    """Delete the copy of an image that one store has."""
    path = f"/stores/{quote(store, safe='')}/{quote(image_id, safe='')}"
    ask(endpoint, "DELETE", path, f"delete the copy of image {image_id} in store {store}")


def act(endpoint: Endpoint, image_id: str, action: str) -> None:
    """Deactivate, reactivate or restore an image."""
    ask(endpoint, "POST", path_of(image_id, "actions", action), f"{action} image {image_id}")


def begin_import(
    endpoint: Endpoint, image_id: str, body: Mapping[str, Any], headers: Mapping[str, str]
) -> None:
    """Ask for an import to begin."""
    ask(
        endpoint,
        "POST",
        path_of(image_id, "import"),
        f"import image {image_id}",
        json=body,
        headers=headers,
    )


def tasks(endpoint: Endpoint, image_id: str) -> list[Record]:
    """Return an image's tasks, the newest first."""
    answer = ask(endpoint, "GET", path_of(image_id, "tasks"), f"show tasks of {image_id}")
    found: list[Record] = answer.json()["tasks"]
    return sorted(found, key=lambda task: str(task.get("created_at")), reverse=True)


def members(endpoint: Endpoint, image_id: str) -> list[Record]:
    """Return with whom an image is shared."""
    answer = ask(endpoint, "GET", path_of(image_id, "members"), f"list members of {image_id}")
    found: list[Record] = answer.json()["members"]
    return found


def add_member(endpoint: Endpoint, image_id: str, project: str) -> Record:
    """Share an image with a project."""
    record: Record = ask(
        endpoint,
        "POST",
        path_of(image_id, "members"),
        f"share image {image_id}",
        json={"member": project},
    ).json()
    return record


def set_member(endpoint: Endpoint, image_id: str, project: str, status: str) -> Record:
    """Accept or refuse an image that was shared."""
    record: Record = ask(
        endpoint,
        "PUT",
        path_of(image_id, "members", project),
        f"mark the sharing of image {image_id} as {status}",
        json={"status": status},
    ).json()
    return record


def remove_member(endpoint: Endpoint, image_id: str, project: str) -> None:
    """Share an image with a project no longer."""
    ask(
        endpoint,
        "DELETE",
        path_of(image_id, "members", project),
        f"share image {image_id} with {project} no longer",
    )


def add_tag(endpoint: Endpoint, image_id: str, tag: str) -> None:
    """Give an image a tag."""
    ask(endpoint, "PUT", path_of(image_id, "tags", tag), f"tag image {image_id}")


def remove_tag(endpoint: Endpoint, image_id: str, tag: str) -> None:
    """Take a tag from an image."""
    ask(endpoint, "DELETE", path_of(image_id, "tags", tag), f"take the tag {tag!r} off")


def is_id(text: str) -> bool:
    """Say whether a text can be an image's id."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def exactly(text: str) -> str:
    """Write a value of a filter so that a colon in it is no operator."""
    return f"eq:{text}" if ":" in text else text

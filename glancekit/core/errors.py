# SPDX-License-Identifier: Apache-2.0
"""Everything that can go wrong, as one tree. Which HTTP status each becomes is not its business.

::

    GlancekitError
    ├── Invalid                     what was asked makes no sense
    │   ├── InvalidField            one attribute of an image is wrong
    │   ├── BodyCutShort            a transfer ended before every announced byte had come
    │   ├── SizeMismatch            more or fewer bytes than declared
    │   ├── RangeUnsatisfiable      the asked range lies outside the data
    │   ├── UnacceptableFormat      the bytes are not what they say, or are not safe
    │   ├── SignatureInvalid        the image's signature does not match its bytes
    │   └── UriRefused              a URL that this service does not go to
    ├── Unauthenticated             we do not know who is asking
    ├── Forbidden                   we know, and they may not
    │   ├── Protected               the image is protected against deletion
    │   └── ReadOnlyField           an attribute that no caller may set
    ├── NotFound
    │   ├── ImageNotFound
    │   ├── ImageGone               it was deleted while this was going on
    │   ├── MemberNotFound
    │   ├── TagNotFound
    │   ├── MetadefNotFound         a namespace, or something in it
    │   ├── TaskNotFound
    │   └── StoreNotFound
    ├── Conflict
    │   ├── Duplicate               an id, name or member that exists already
    │   ├── StatusConflict          the image is not in a status that allows this
    │   ├── ImageDamaged            no good copy of its data is left
    │   ├── InUse                   somebody else holds on to the thing
    │   ├── SourceChanged           what is being fetched is another content by now
    │   └── OffsetMismatch          a part of an upload does not begin where the last one ended
    ├── LimitExceeded               a quota or a configured limit
    ├── TooManyRequests             more in a short time than one caller may ask
    ├── StoreError                  a store could not do it
    │   ├── BlobNotFound            no data at this location
    │   ├── BlobExists              the name is taken
    │   ├── BlobInUse               clones or snapshots depend on it
    │   ├── StoreFull
    │   ├── StoreDenied             the medium refuses this service
    │   ├── StoreReadOnly           nothing can be added to this store
    │   ├── StoreUnavailable        it does not answer, or not in time
    │   │   └── BlobUnavailable     it answers, and says that the data are out of reach for now
    │   ├── CapabilityMissing       this kind of store cannot do that
    │   └── StoreFailed             anything a driver did not translate
    ├── MetadataError               the database could not do it
    │   ├── MetadataUnavailable     it does not answer, or is too busy; try again
    │   ├── MetadataFailed          anything its driver did not translate
    │   └── SchemaMismatch          its schema is older or newer than this release
    ├── Unavailable                 we cannot now; try again later
    ├── ConfigError                 the configuration cannot be used as it is
    └── PluginError                 a plugin cannot be used
        └── PluginMissing           no installed plugin offers this name

An error carries its facts as attributes and one template that makes the message of them. A message
says what happened, to which thing, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar


class GlancekitError(Exception):
    """The root of the tree. ``facts`` are the keyword arguments it was raised with."""

    template: ClassVar[str] = "{detail}"

    def __init__(self, detail: str = "", /, **facts: Any) -> None:
        self.facts: dict[str, Any] = {"detail": detail, **facts}
        super().__init__(self._render())

    def _render(self) -> str:
        detail = self.facts["detail"]
        if detail and "{detail}" not in self.template:
            return str(detail)
        return self.template.format_map(_Facts(self.facts))

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["facts"][name]
        except KeyError:
            raise AttributeError(name) from None

    def stamp(self, **facts: Any) -> None:
        """Add facts that the place which raised did not know; those it knew stay."""
        for name, value in facts.items():
            self.facts.setdefault(name, value)
        self.args = (self._render(),)

    def __reduce__(self) -> tuple[Any, ...]:
        facts = dict(self.facts)
        return (_rebuild, (type(self), facts.pop("detail"), facts))


def _rebuild(kind: type[GlancekitError], detail: str, facts: dict[str, Any]) -> GlancekitError:
    return kind(detail, **facts)


class _Facts(dict[str, Any]):
    """A template may name a fact that the raiser did not have."""

    def __missing__(self, key: str) -> str:
        return f"<{key} unknown>"


# -- bad input ---------------------------------------------------------------------------------


class Invalid(GlancekitError):
    """What was asked makes no sense as it stands."""


class InvalidField(Invalid):
    """One attribute is wrong. Facts: ``field``, ``reason``."""

    template = "Attribute '{field}' is not acceptable: {reason}"


class BodyCutShort(Invalid):
    """The source ended early. Facts: ``received``, ``expected`` (bytes, or None when chunked)."""

    template = "The transfer was cut off after {received} bytes; send the image data again"


class SizeMismatch(Invalid):
    """Facts: ``received``, ``expected`` in bytes (``received`` may be a lower bound)."""

    template = (
        "The image data does not have the declared size: {expected} bytes were declared, "
        "{received} arrived"
    )


class RangeUnsatisfiable(Invalid):
    """Facts: ``size`` of the data in bytes."""

    template = "The requested range lies outside the image's {size} bytes"


class UnacceptableFormat(Invalid):
    """The bytes are not of the declared format, or could harm whoever opens them."""

    template = "The image data was refused: {detail}"


class SignatureInvalid(Invalid):
    """The signature in the image's properties does not match its bytes."""

    template = "The image's signature could not be verified: {detail}"


class UriRefused(Invalid):
    """The operator does not let the service be sent there. Facts: ``reason``."""

    template = "The URL does not pass filtering: {reason}"


# -- who asks, and may they --------------------------------------------------------------------


class Unauthenticated(GlancekitError):
    """We do not know who is asking."""

    template = "Authentication is required"


class Forbidden(GlancekitError):
    """The caller may not do this. Facts: ``action``."""

    template = "You are not allowed to {action}"


class Protected(Forbidden):
    """Facts: ``image_id``."""

    template = (
        "Image {image_id} is protected and cannot be deleted; set its 'protected' to false first"
    )


class ReadOnlyField(Forbidden):
    """Facts: ``field``."""

    template = "Attribute '{field}' is read-only or reserved and cannot be set"


# -- not there ---------------------------------------------------------------------------------


class NotFound(GlancekitError):
    """There is no such thing, or the caller may not know of it."""


class ImageNotFound(NotFound):
    """Facts: ``image_id``."""

    template = "No image found with ID {image_id}"


class ImageGone(NotFound):
    """Facts: ``image_id``."""

    template = "Image {image_id} was deleted while its data was on the way"


class MemberNotFound(NotFound):
    """Facts: ``image_id``, ``project_id``."""

    template = "Project {project_id} is not a member of image {image_id}"


class TagNotFound(NotFound):
    """Facts: ``image_id``, ``tag``."""

    template = "Image {image_id} has no tag '{tag}'"


class TaskNotFound(NotFound):
    """Facts: ``task_id``."""

    template = "There is no task {task_id}"


class MetadefNotFound(NotFound):
    """Facts: ``kind``, ``name``."""

    template = "There is no metadata definition {kind} '{name}'"


class StoreNotFound(NotFound):
    """Facts: ``store``, ``known`` (ids of the stores there are)."""

    template = "There is no store '{store}' here; the stores are: {known}"


# -- at odds with the state of things ----------------------------------------------------------


class Conflict(GlancekitError):
    """The request is sound, but not now: the thing's state does not allow it."""


class Duplicate(Conflict):
    """Facts: ``kind``, ``key``."""

    template = "There is already a {kind} '{key}'"


class StatusConflict(Conflict):
    """Facts: ``image_id``, ``status`` (as found), ``wanted`` (what would allow it)."""

    template = "Image {image_id} is {status}; this needs it to be {wanted}"


class ImageDamaged(Conflict):
    """Audits found that each copy of its data is lost. Facts: ``image_id``."""

    template = (
        "The data of image {image_id} are damaged: no copy that is left has the bytes that were "
        "stored. The operator may bring a good copy back; otherwise upload the data anew"
    )


class InUse(Conflict):
    """Somebody else depends on it."""


class SourceChanged(Conflict):
    """What an import fetches is not what it was when the fetch began. Facts: ``source``."""

    template = "{source} changed while it was fetched; import it again"


class OffsetMismatch(Conflict):
    """A part does not begin behind the bytes that are durable. Facts: ``offset``, ``asked``."""

    template = "{offset} bytes are there; the next part begins at {offset}, not at {asked}"


class LimitExceeded(GlancekitError):
    """Facts: ``limit``, ``asked`` and ``what`` is counted."""

    template = "The limit of {limit} {what} would be exceeded"


class TooManyRequests(GlancekitError):
    """Facts: ``what`` is counted, ``retry_after`` in seconds."""

    template = "Too many {what} in a short time; try again in {retry_after} s"


# -- stores ------------------------------------------------------------------------------------


class StoreError(GlancekitError):
    """A store could not do it. Facts stamped by the core: ``store``, ``operation``."""

    template = "Store '{store}' failed: {detail}"


class BlobNotFound(StoreError):
    """Nothing is stored at that location."""

    template = "Store '{store}' holds no data for this image"


class BlobExists(StoreError):
    """The name is taken by other data, which was not touched."""

    template = "Store '{store}' already holds data under that name"


class BlobInUse(StoreError):
    """Clones or snapshots of it exist outside."""

    template = "The image data in store '{store}' is in use (clones or snapshots depend on it)"


class StoreFull(StoreError):
    """There is no room for the data."""

    template = "There is not enough room left in store '{store}'"


class StoreDenied(StoreError):
    """The medium refuses: permissions or credentials of the service, not of the caller."""

    template = "Store '{store}' refused access to the image service: {detail}"


class StoreReadOnly(StoreError):
    """Adding is switched off, or impossible for this kind."""

    template = "Nothing can be added to store '{store}': it is read-only"


class StoreUnavailable(StoreError):
    """It does not answer, or not within its deadline."""

    template = "Store '{store}' does not answer: {detail}"


class BlobUnavailable(StoreUnavailable):
    """The store answers, and says that these data are out of reach for now: the part of it that
    has them is away, or somebody holds them. Other data may well be there."""

    template = "Store '{store}' cannot get at the image's data now: {detail}"


class CapabilityMissing(StoreError):
    """Facts: ``capability``."""

    template = "Store '{store}' cannot do this (it lacks {capability})"


class StoreFailed(StoreError):
    """An error that the driver did not translate; the cause is chained."""

    template = "Store '{store}' failed in '{operation}': {detail}"


# -- metadata ----------------------------------------------------------------------------------


class MetadataError(GlancekitError):
    """The metadata backend could not do it."""


class MetadataUnavailable(MetadataError):
    """It does not answer or is too busy; nothing was changed, so asking again is safe."""

    template = "The metadata backend is not available: {detail}"


class MetadataFailed(MetadataError):
    """An error that the driver did not translate, or an answer that is none.

    Facts: ``driver``, ``operation``; the cause is chained.
    """

    template = "The metadata driver '{driver}' failed in '{operation}': {detail}"


class SchemaMismatch(MetadataError):
    """Facts: ``found``, ``wanted``."""

    template = (
        "The database schema is at revision {found}, this release needs {wanted}; "
        "run 'glancekit db upgrade'"
    )


# -- the service itself ------------------------------------------------------------------------


class Unavailable(GlancekitError):
    """We cannot do this now. Facts: ``retry_after`` in seconds, where known."""


class ConfigError(GlancekitError):
    """The configuration cannot be used; the message names section, option and remedy."""


class PluginError(GlancekitError):
    """A plugin cannot be used. Facts: ``group``, ``name``, ``reason``."""

    template = "Plugin '{name}' ({group}) cannot be used: {reason}"


class PluginMissing(PluginError):
    """Facts: ``group``, ``name``, ``installed``, ``package``."""

    template = (
        "No installed plugin offers '{name}' in {group}; installed are: {installed}. "
        "Try: pip install {package}"
    )


@contextmanager
def translating(table: Mapping[type[BaseException], type[GlancekitError]]) -> Iterator[None]:
    """Turn a vendor's errors into ours, the original chained; the most specific class wins.

    Errors of this tree pass through untouched, as do those that the table does not name.
    """
    try:
        yield
    except GlancekitError:
        raise
    except tuple(table) as error:
        raise _lookup(table, type(error))(str(error) or type(error).__name__) from error


def _lookup(
    table: Mapping[type[BaseException], type[GlancekitError]], kind: type[BaseException]
) -> type[GlancekitError]:
    return next(table[parent] for parent in kind.__mro__ if parent in table)

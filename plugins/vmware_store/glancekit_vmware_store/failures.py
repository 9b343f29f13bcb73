# SPDX-License-Identifier: Apache-2.0
"""What a vCenter's faults, and those of the way to it, are called here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from xml.parsers.expat import ExpatError

from pyVmomi import vim, vmodl

from glancekit.plugin import (
    BlobExists,
    BlobInUse,
    BlobNotFound,
    BlobUnavailable,
    GlancekitError,
    StoreDenied,
    StoreFull,
    StoreUnavailable,
)

_KINDS: Mapping[type[BaseException], type[GlancekitError]] = {
    vim.fault.FileNotFound: BlobNotFound,
    vim.fault.FileAlreadyExists: BlobExists,
    vim.fault.FileLocked: BlobInUse,  # a machine has it in its drive
    vim.fault.NoDiskSpace: StoreFull,
    vim.fault.InvalidLogin: StoreDenied,
    vim.fault.CannotAccessFile: StoreDenied,
    vmodl.fault.SecurityError: StoreDenied,  # NoPermission is one
    # Not BlobNotFound: an image is not lost because its datastore is not there at the moment. Nor
    # is a vCenter silent that says so of a datastore or of a host.
    vim.fault.InvalidDatastore: BlobUnavailable,
    vim.fault.HostConnectFault: BlobUnavailable,
    vim.fault.TaskInProgress: StoreUnavailable,
    vim.fault.Timedout: StoreUnavailable,
    vmodl.fault.ManagedObjectNotFound: StoreUnavailable,
    vmodl.fault.HostCommunication: BlobUnavailable,
    vmodl.fault.RequestCanceled: StoreUnavailable,
    OSError: StoreUnavailable,
    HTTPException: StoreUnavailable,
    ExpatError: StoreUnavailable,  # what answered is no vCenter
}
"""What is not here the core reports as StoreFailed, with the original."""

_SELF_EXPLAINING = (BlobNotFound, BlobExists, BlobInUse, StoreFull)


@contextmanager
def translated(deed: str) -> Iterator[None]:
    """Turn an error of the SDK or of the connection into ours; ``deed`` says what was going on."""
    try:
        yield
    except tuple(_KINDS) as error:
        kind = next(ours for theirs, ours in _KINDS.items() if isinstance(error, theirs))
        detail = "" if kind in _SELF_EXPLAINING else f"{deed}: {reason(error)}"
        raise kind(detail) from error


def reason(error: BaseException) -> str:
    """Return an error's own words on one line, or its name where it has none."""
    said = error.msg if isinstance(error, vmodl.MethodFault) else str(error)
    return " ".join((said or type(error).__name__).split())

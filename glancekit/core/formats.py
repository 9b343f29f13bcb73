# SPDX-License-Identifier: Apache-2.0
"""What an image's bytes really are, and whether they are safe to open. Whose they are: no matter.

A disk image can name other files of the host that opens it. Whatever was declared, the content
decides which checks are made: qemu-img and others may go by content, too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from oslo_utils.imageutils import format_inspector
from oslo_utils.imageutils.format_inspector import FileInspector

from glancekit.core.errors import UnacceptableFormat

log = logging.getLogger(__name__)

VMDK_ALLOWED_TYPES = ("streamOptimized", "monolithicSparse")
"""The types that hold their data themselves, and need no other files."""

INSPECTED = frozenset(format_inspector.ALL_FORMATS)
"""Disk formats that can be told by their bytes; raw is what is none of the others."""

_SECTOR = 512
_HYBRID = {"iso", "gpt"}
_BOOT_CODE = {"aki", "ari"}
_CREATE_TYPE = re.compile(rb'createType\s*=\s*"([^"\n]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the bytes are, and how large the disk in them is. None where it was not looked at."""

    detected_format: str | None
    virtual_size: int | None


class FormatInspection:
    """Looks at one image's bytes as they pass. Only a ``bare`` container can be looked into."""

    def __init__(
        self,
        disk_format: str | None,
        container_format: str | None,
        *,
        require_match: bool = True,
        vmdk_allowed_types: Collection[str] = VMDK_ALLOWED_TYPES,
        gpt_safety_checks_nonfatal: Collection[str] = (),
    ) -> None:
        self._declared = disk_format
        self._require_match = require_match
        self._vmdk_allowed_types = vmdk_allowed_types
        self._tolerated = set(gpt_safety_checks_nonfatal)
        if disk_format in _BOOT_CODE:
            self._tolerated.add("mbr")  # kernels carry a boot sector's signature
        self._applies = container_format == "bare"
        self._watching = _inspectors() if self._applies else {}
        self._broken: dict[str, str] = {}
        self._judged = False
        self._fed = 0

    @property
    def wants_more(self) -> bool:
        """There is something left to look for; feeding goes on to cost something."""
        return bool(self._watching)

    def feed(self, chunk: bytes) -> None:
        """See the next bytes.

        :raises UnacceptableFormat: as soon as that is sure, so that nobody sends 100 GB in vain.
        """
        self._fed += len(chunk)
        for name, inspector in list(self._watching.items()):
            self._show(name, inspector, chunk)
        if not self._judged and all(i.complete for i in self._watching.values()):
            self._judge()
            self._judged = True

    def finish(self, size: int) -> Verdict:
        """Return what the bytes were, ``size`` of them in all.

        :raises UnacceptableFormat: when they are not what was declared, or not safe.
        """
        if not self._applies:
            return Verdict(detected_format=None, virtual_size=None)
        if 0 < self._fed < _SECTOR:
            # qemu reads whole sectors: a header that is cut short is one to it, zeros added.
            self.feed(bytes(_SECTOR - self._fed))
        for name, inspector in self._watching.items():
            with _parsing(name):
                inspector.finish()
        detected = self._judge()
        with _parsing(detected):
            return Verdict(detected, self._virtual_size(detected, size) or None)

    def _show(self, name: str, inspector: FileInspector, chunk: bytes) -> None:
        try:
            inspector.eat_chunk(chunk)
            ruled_out = inspector.complete and not inspector.format_match
        except Exception as error:  # as in _parsing, but most formats just are another
            ruled_out = True
            if inspector.format_match:
                self._broken[name] = str(error) or type(error).__name__
        if ruled_out:
            del self._watching[name]

    def _judge(self) -> str:
        """Return what the bytes are, by what was seen of them so far."""
        if self._broken:
            name, reason = next(iter(self._broken.items()))
            raise UnacceptableFormat(
                f"it begins like {name}, but cannot be read as such: {reason}"
            )
        matching = {name for name, each in self._watching.items() if each.format_match}
        if matching == _HYBRID:
            matching = {"iso"}
        if len(matching) > 1:
            several = " and ".join(sorted(matching))
            raise UnacceptableFormat(f"it can be read as {several} alike, which is not safe")
        detected = next(iter(matching), "raw")
        self._require_declared(detected)
        if detected != "raw":
            with _parsing(detected):
                self._require_safe(detected, self._watching[detected])
        return detected

    def _require_declared(self, detected: str) -> None:
        declared = self._declared
        if not self._require_match or declared in (detected, "raw"):
            return
        if detected == "raw" and declared not in format_inspector.ALL_FORMATS:
            return  # a format without marks of its own
        if detected == "gpt" and declared in _BOOT_CODE:
            return
        raise UnacceptableFormat(
            f"its content is {detected}, but the image's disk_format is {declared}; set "
            f"disk_format to what the file is, or send a {declared} file",
            declared=declared,
            detected=detected,
        )

    def _require_safe(self, detected: str, inspector: FileInspector) -> None:
        try:
            inspector.safety_check()
        except format_inspector.SafetyCheckFailed as error:
            self._refuse_unless_tolerated(detected, error.failures)
        if detected == "vmdk":
            self._require_vmdk_type(inspector)

    def _refuse_unless_tolerated(self, detected: str, failures: dict[str, object]) -> None:
        if detected == "gpt":
            for name in failures.keys() & self._tolerated:
                log.info("tolerating the failed safety check %s: %s", name, failures[name])
            failures = {k: v for k, v in failures.items() if k not in self._tolerated}
        if failures:
            reasons = "; ".join(f"{reason} (check '{name}')" for name, reason in failures.items())
            raise UnacceptableFormat(
                f"its {detected} content is not safe: {reasons}",
                detected=detected,
                checks=sorted(failures),
            )

    def _require_vmdk_type(self, inspector: FileInspector) -> None:
        found = _CREATE_TYPE.findall(bytes(inspector.region("descriptor").data))
        types = [kind.decode("ascii", "replace") for kind in found]
        if not types or not set(types) <= set(self._vmdk_allowed_types):
            raise UnacceptableFormat(
                f"its VMDK type is {' and '.join(types) or 'not given'}, and allowed are "
                f"{', '.join(self._vmdk_allowed_types)}",
                detected="vmdk",
                checks=["vmdk_allowed_types"],
            )

    def _virtual_size(self, detected: str, size: int) -> int | None:
        if self._declared == "raw":
            return size
        if self._declared == detected:
            return int(self._watching[detected].virtual_size)
        return None


@contextmanager
def _parsing(name: str) -> Iterator[None]:
    """Refuse what the library stumbles over: hostile bytes break parsers in any way there is."""
    try:
        yield
    except UnacceptableFormat:
        raise
    except Exception as error:
        raise UnacceptableFormat(f"its {name} content cannot be checked: {error}") from error


def _inspectors() -> dict[str, FileInspector]:
    # "raw" matches anything; what nothing else matches is raw.
    return {name: kind() for name, kind in format_inspector.ALL_FORMATS.items() if name != "raw"}

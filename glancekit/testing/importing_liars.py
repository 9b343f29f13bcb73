# SPDX-License-Identifier: Apache-2.0
"""Import methods and steps that break one promise each, and the test that must catch each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from glancekit.plugin import (
    Fetched,
    Identity,
    Image,
    ImportMethod,
    ImportStep,
    Invalid,
    Progress,
    SourceChanged,
    SourceStream,
    StagedImage,
    StrOpt,
    SupportsForecast,
)

CONTENT = bytes(range(256)) * 5000


class Bytes(SourceStream):
    """Bytes in memory, behind those that were fetched."""

    def __init__(self, data: bytes, version: str, begun: int) -> None:
        self.size = len(data)
        self.version = version
        self._data = data
        self._next = begun

    def read(self, size: int = -1, /) -> bytes:
        """Return what is next."""
        end = len(self._data) if size < 0 else self._next + size
        taken = self._data[self._next : end]
        self._next += len(taken)
        return taken

    def close(self) -> None:
        """Give nothing more."""
        self._data = b""


class HonestMethod(ImportMethod):
    """Has one content; what the liars are made of."""

    api_level: ClassVar[int] = 1
    caught_by: ClassVar[str] = ""

    def __init__(self) -> None:
        self.content = CONTENT
        self.version = "1"

    def change(self) -> None:
        """Have another content from now on."""
        self.content, self.version = CONTENT[::-1], "2"

    def validate(self, arguments: Mapping[str, Any]) -> None:
        """Take a ``key``."""
        if not isinstance(arguments.get("key"), str):
            raise Invalid("key is a string")

    def open(
        self,
        image: Image,
        arguments: Mapping[str, Any],
        *,
        caller: Identity,
        fetched: Fetched | None,
    ) -> SourceStream:
        """Give the bytes behind those fetched."""
        if fetched is not None and fetched.version != self.version:
            raise SourceChanged(source="memory")
        return Bytes(self.content, self.version, fetched.size if fetched else 0)


class TakesAnything(HonestMethod):
    """Finds out what is wrong with arguments when it is late."""

    caught_by = "test_i01_bad_arguments_are_refused_before_anything_is_done"

    def validate(self, arguments: Mapping[str, Any]) -> None:
        """Take all."""


class TakesNothing(HonestMethod):
    """Refuses what is right."""

    caught_by = "test_i02_good_arguments_are_taken"

    def validate(self, arguments: Mapping[str, Any]) -> None:
        """Refuse all."""
        raise Invalid("never")


class LosesTheEnd(HonestMethod):
    """Gives a byte fewer than there are."""

    caught_by = "test_i03_what_the_source_has_comes_out"

    def open(self, image: Image, arguments: Mapping[str, Any], **how: Any) -> SourceStream:
        """Give most."""
        stream = super().open(image, arguments, **how)
        return Bytes(stream.read()[:-1], "1", 0)


class SaysTheSizeOfTheRest(HonestMethod):
    """Takes ``size`` for what is still to come."""

    caught_by = "test_i05_a_fetch_goes_on_where_it_broke_off"

    def open(self, image: Image, arguments: Mapping[str, Any], **how: Any) -> SourceStream:
        """Give all, and say another size."""
        stream = super().open(image, arguments, **how)
        stream.size = len(CONTENT) - (how["fetched"].size if how["fetched"] else 0)
        return stream


class GuessesTheSize(HonestMethod):
    """Says a size that it does not know."""

    caught_by = "test_i04_a_stream_s_size_is_that_of_the_whole"

    def open(self, image: Image, arguments: Mapping[str, Any], **how: Any) -> SourceStream:
        """Give all, and say another size."""
        stream = super().open(image, arguments, **how)
        stream.size = 7
        return stream


class MixesContents(HonestMethod):
    """Goes on with whatever is there by now."""

    caught_by = "test_i06_what_changed_meanwhile_is_not_gone_on_with"

    def open(self, image: Image, arguments: Mapping[str, Any], **how: Any) -> SourceStream:
        """Give what there is."""
        begun = how["fetched"].size if how["fetched"] else 0
        return Bytes(self.content, self.version, begun)


class _Generous(Bytes):
    def read(self, size: int = -1, /) -> bytes:
        return super().read(size + 1)


class GivesMoreThanAsked(HonestMethod):
    """Has a stream whose pieces are too large."""

    caught_by = "test_i07_a_stream_gives_what_it_is_asked_for_at_most"

    def open(self, image: Image, arguments: Mapping[str, Any], **how: Any) -> SourceStream:
        """Give too much at a time."""
        return _Generous(self.content, self.version, 0)


class _Undying(Bytes):
    def close(self) -> None:
        """Do nothing."""


class StaysOpen(HonestMethod):
    """Gives bytes after it was closed."""

    caught_by = "test_i08_a_closed_stream_gives_nothing"

    def open(self, image: Image, arguments: Mapping[str, Any], **how: Any) -> SourceStream:
        """Give all for ever."""
        return _Undying(self.content, self.version, 0)


class HidesItsSection(HonestMethod):
    """Has options and says nowhere where they are."""

    caught_by = "test_i09_it_says_what_it_is"
    options: ClassVar[Sequence[Any]] = (StrOpt("bucket", help="Where."),)


METHOD_LIARS: tuple[type[HonestMethod], ...] = (
    TakesAnything,
    TakesNothing,
    LosesTheEnd,
    GuessesTheSize,
    SaysTheSizeOfTheRest,
    MixesContents,
    GivesMoreThanAsked,
    StaysOpen,
    HidesItsSection,
)
"""Every liar about sources."""


class HonestStep(ImportStep):
    """Turns every byte over; refuses what begins with ``BAD``. What the liars are made of."""

    api_level: ClassVar[int] = 1
    caught_by: ClassVar[str] = ""

    def applies_to(self, staged: StagedImage) -> bool:
        """Say that text is not its business."""
        return not staged.path.read_bytes().startswith(b"TEXT")

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Write the other file."""
        data = staged.path.read_bytes()
        if data.startswith(b"BAD"):
            raise Invalid("this begins badly")
        progress(0, len(data))
        self.place(staged).write_bytes(bytes(byte ^ 0xFF for byte in data) + b".")
        progress(len(data), len(data))
        image = replace(staged.image, size=len(data) + 1)
        return replace(staged, image=image, path=self.place(staged))

    def revert(self, staged: StagedImage) -> None:
        """Remove it."""
        self.place(staged).unlink(missing_ok=True)

    def place(self, staged: StagedImage) -> Path:
        """Return where the other file is."""
        return staged.path.with_name(f"{staged.path.name}.turned")


class IsForEverything(HonestStep):
    """Does not look whether there is anything to do."""

    caught_by = "test_i10_it_knows_what_it_is_for"

    def applies_to(self, staged: StagedImage) -> bool:
        """Say yes."""
        return True


class ForgetsTheSize(HonestStep):
    """Leaves the record as it was."""

    caught_by = "test_i11_the_record_has_the_size_of_the_file"

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Do it and say nothing."""
        return replace(super().execute(staged, progress), image=staged.image)


class WorksInPlace(HonestStep):
    """Spoils the file that a second attempt would need."""

    caught_by = "test_i12_a_new_file_is_beside_the_old_one"

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Do it, and change the old one, too."""
        done = super().execute(staged, progress)
        staged.path.write_bytes(b"spoiled")
        return done


class IsNeverTheSame(HonestStep):
    """Comes out another way each time."""

    caught_by = "test_i13_it_may_be_done_again_after_a_crash"
    times = 0

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Do it and count."""
        type(self).times += 1
        done = super().execute(staged, progress)
        done.path.write_bytes(done.path.read_bytes()[:-1] + bytes([self.times]))
        return done


class AddsToWhatIsThere(HonestStep):
    """Goes on with what a crash left."""

    caught_by = "test_i14_an_attempt_that_a_crash_left_behind_does_no_harm"

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Do it unless somebody seems to have begun."""
        if not self.place(staged).exists():
            return super().execute(staged, progress)
        size = self.place(staged).stat().st_size
        image = replace(staged.image, size=size)
        return replace(staged, image=image, path=self.place(staged))


class GoesBack(HonestStep):
    """Tells of less than it told before."""

    caught_by = "test_i15_progress_rises_to_the_whole"

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Do it and tell it twice."""
        done = super().execute(staged, progress)
        progress(0, None)
        return done


class DoesNotListen(HonestStep):
    """Goes on though the import was cancelled."""

    caught_by = "test_i16_it_ends_when_the_import_was_cancelled"

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Do it whatever ``progress`` raises."""

        def tell(done: int, total: int | None) -> None:
            try:
                progress(done, total)
            except Exception:
                return

        return super().execute(staged, tell)


class TellsWhereFilesAre(HonestStep):
    """Puts a path of the host into what users read."""

    caught_by = "test_i17_what_it_refuses_it_refuses_in_words"

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Do it, and be frank."""
        try:
            return super().execute(staged, progress)
        except Invalid as error:
            raise Invalid(f"{staged.path}: {error}") from error


class LeavesItThere(HonestStep):
    """Does not undo what it did."""

    caught_by = "undone"

    def revert(self, staged: StagedImage) -> None:
        """Do nothing."""


class RenamesAParameter(HonestStep):
    """Cannot be called by the name that the contract gives."""

    caught_by = "test_i19_it_says_what_it_is"

    def revert(self, image: StagedImage) -> None:
        """Do it under another name."""
        super().revert(image)


class HandsOnTheOldDigest(HonestStep):
    """Says what it read, and not what it wrote."""

    caught_by = "test_i20_digests_that_it_hands_on_are_those_of_the_file"

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Do it, and digest the wrong file."""
        digest = hashlib.sha256(staged.path.read_bytes()).hexdigest()
        return replace(super().execute(staged, progress), digests={"sha256": digest})


class PromisesTooMuch(HonestStep, SupportsForecast):
    """Says that it replaces what it lets pass."""

    caught_by = "test_i21_what_it_says_that_it_will_replace_it_replaces"

    def will_replace(self, image: Image) -> bool:
        """Say yes."""
        return True


STEP_LIARS: tuple[type[HonestStep], ...] = (
    IsForEverything,
    ForgetsTheSize,
    WorksInPlace,
    IsNeverTheSame,
    AddsToWhatIsThere,
    GoesBack,
    DoesNotListen,
    TellsWhereFilesAre,
    LeavesItThere,
    RenamesAParameter,
    HandsOnTheOldDigest,
    PromisesTooMuch,
)
"""Every liar about what it does."""

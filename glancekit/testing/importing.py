# SPDX-License-Identifier: Apache-2.0
"""What import methods and steps promise, as tests. A vendor inherits them and gives a method
or a step, and what it is to be tried with::

    class TestAcmeDownload(ImportMethodConformance):
        content = b"..."
        bad_arguments = [{}, {"bucket": 7}]

        @pytest.fixture
        def method(self):
            return AcmeDownload(options, name="acme-download")

        @pytest.fixture
        def arguments(self):
            return {"bucket": "images", "key": "cirros"}

The numbers are those of ``docs/reference/contracts/importing.rst``.
"""

from __future__ import annotations

import hashlib
import inspect
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from glancekit.core.contracts.importing import ImportMethod, ImportStep
from glancekit.plugin import (
    API_LEVEL,
    CHUNK_SIZE,
    Fetched,
    GlancekitError,
    Identity,
    Image,
    Invalid,
    SourceChanged,
    SourceStream,
    StagedImage,
    SupportsForecast,
)
from glancekit.testing.importing_reports import ImportMethodReports, ImportStepReports
from glancekit.testing.store import assert_same

CALLER = Identity(user_id="u-import", project_id="p-import", roles=frozenset({"member"}))
"""Who imports in these tests."""


def new_image(**known: Any) -> Image:
    """Return the record of an image that is on its way in."""
    formats = {"disk_format": "raw", "container_format": "bare"}
    return Image(id=str(uuid.uuid4()), owner=CALLER.project_id, **formats | known)


def silent(done: int, total: int | None) -> None:
    """Be told of progress and make nothing of it."""


class Cancelled(Exception):
    """What ``Progress`` raises in these tests when the import was cancelled."""


class _Options:
    """What both contracts ask of a class."""

    def check(self, kind: type, contract: type) -> None:
        """Hold what a class says of itself against the contract."""
        assert kind.api_level <= API_LEVEL  # type: ignore[attr-defined]
        options = kind.options  # type: ignore[attr-defined]
        for option in options:
            assert option.help, f"the option {option.name} has no help text"
        if options:
            assert kind.section, "it has options and names no section"  # type: ignore[attr-defined]
        for name in sorted(getattr(contract, "__abstractmethods__", ())):
            wanted = list(inspect.signature(getattr(contract, name)).parameters)
            assert list(inspect.signature(getattr(kind, name)).parameters) == wanted, name


class ImportMethodConformance(_Options, ImportMethodReports):
    """The promises of ``ImportMethod``."""

    content: ClassVar[bytes]
    """What the source has; some chunks and a bit are best."""
    bad_arguments: ClassVar[Sequence[Mapping[str, Any]]] = ()
    """Arguments, each of them with something wrong."""

    # -- what a vendor gives

    @pytest.fixture
    def method(self) -> Any:
        """A method that is ready for use. To be overridden."""
        pytest.fail("give your test class a fixture 'method' that returns the method to test")

    @pytest.fixture
    def arguments(self) -> Mapping[str, Any]:
        """What a request says, for the source with ``content``. To be overridden."""
        pytest.fail("give your test class a fixture 'arguments'")

    @pytest.fixture
    def change(self) -> Callable[[], object] | None:
        """A function that makes the source's content another one of the same size. Optional."""
        return None

    # -- the kit's own

    @pytest.fixture
    def start(
        self, method: Any, arguments: Mapping[str, Any]
    ) -> Callable[[Fetched | None], SourceStream]:
        """Opens the source."""
        image = new_image()

        def opened(fetched: Fetched | None) -> SourceStream:
            stream: SourceStream = method.open(image, arguments, caller=CALLER, fetched=fetched)
            return stream

        return opened

    def test_i01_bad_arguments_are_refused_before_anything_is_done(self, method: Any) -> None:
        assert self.bad_arguments, "give your test class 'bad_arguments'"
        for arguments in self.bad_arguments:
            with pytest.raises(Invalid):
                method.validate(arguments)

    def test_i02_good_arguments_are_taken(self, method: Any, arguments: Mapping[str, Any]) -> None:
        method.validate(arguments)

    def test_i03_what_the_source_has_comes_out(
        self, start: Callable[[Fetched | None], SourceStream]
    ) -> None:
        for _ in range(2):
            with start(None) as stream:
                assert_same(b"".join(stream), self.content)

    def test_i04_a_stream_s_size_is_that_of_the_whole(
        self, start: Callable[[Fetched | None], SourceStream]
    ) -> None:
        with start(None) as stream:
            assert stream.size in (None, len(self.content))

    def test_i05_a_fetch_goes_on_where_it_broke_off(
        self, start: Callable[[Fetched | None], SourceStream], tmp_path: Path
    ) -> None:
        version = self._version(start)
        for size in (1, CHUNK_SIZE, len(self.content) - 1, len(self.content)):
            if not 0 < size <= len(self.content):
                continue
            fetched = self._fetched(tmp_path, size, version)
            with start(fetched) as stream:
                assert stream.size in (None, len(self.content))
                assert stream.version == version
                assert_same(b"".join(stream), self.content[size:])

    def test_i06_what_changed_meanwhile_is_not_gone_on_with(
        self,
        start: Callable[[Fetched | None], SourceStream],
        change: Callable[[], object] | None,
        tmp_path: Path,
    ) -> None:
        if change is None:
            pytest.skip("there is no fixture 'change'")
        fetched = self._fetched(tmp_path, 1, self._version(start))
        change()
        with pytest.raises(SourceChanged), start(fetched) as stream:
            stream.read()

    def test_i07_a_stream_gives_what_it_is_asked_for_at_most(
        self, start: Callable[[Fetched | None], SourceStream]
    ) -> None:
        with start(None) as stream:
            parts = []
            while part := stream.read(100_000):
                assert len(part) <= 100_000
                parts.append(part)
            assert stream.read(1) == b""
        assert_same(b"".join(parts), self.content)

    def test_i08_a_closed_stream_gives_nothing(
        self, start: Callable[[Fetched | None], SourceStream]
    ) -> None:
        stream = start(None)
        stream.close()
        stream.close()
        assert stream.read(1) == b""

    def test_i09_it_says_what_it_is(self, method: Any) -> None:
        self.check(type(method), ImportMethod)

    def _version(self, start: Callable[[Fetched | None], SourceStream]) -> str:
        with start(None) as stream:
            version = stream.version
        if version is None:
            pytest.skip("the source does not name the version of its content")
        return version

    def _fetched(self, folder: Path, size: int, version: str) -> Fetched:
        path = folder / "fetched"
        path.write_bytes(self.content[:size])
        return Fetched(path=path, size=size, version=version)


class ImportStepConformance(_Options, ImportStepReports):
    """The promises of ``ImportStep``."""

    # -- what a vendor gives

    @pytest.fixture
    def step(self) -> Any:
        """A step that is ready for use. To be overridden."""
        pytest.fail("give your test class a fixture 'step' that returns the step to test")

    @pytest.fixture
    def staged(self, tmp_path: Path) -> StagedImage:
        """An image that there is something to do to, in a folder of its own. To be overridden."""
        pytest.fail("give your test class a fixture 'staged'")

    @pytest.fixture
    def unconcerned(self, tmp_path: Path) -> Collection[StagedImage]:
        """Images that there is nothing to do to. Optional."""
        return ()

    @pytest.fixture
    def refused(self, tmp_path: Path) -> Collection[StagedImage]:
        """Images that the step cannot let pass. Optional."""
        return ()

    # -- the kit's own

    @pytest.fixture(autouse=True)
    def i18_nothing_is_left_behind(self, step: Any, staged: StagedImage) -> Iterator[None]:
        """I18, after every test: once it was undone, there is what was there before."""
        with undone(step, staged):
            yield

    def test_i10_it_knows_what_it_is_for(
        self, step: Any, staged: StagedImage, unconcerned: Collection[StagedImage]
    ) -> None:
        assert step.applies_to(staged)
        for other in unconcerned:
            assert not step.applies_to(other)

    def test_i11_the_record_has_the_size_of_the_file(self, step: Any, staged: StagedImage) -> None:
        done = step.execute(staged, silent)
        assert done.image.id == staged.image.id
        assert done.image.size == done.path.stat().st_size
        assert done.caller == staged.caller

    def test_i12_a_new_file_is_beside_the_old_one(self, step: Any, staged: StagedImage) -> None:
        before = staged.path.read_bytes()
        done = step.execute(staged, silent)
        assert done.path.parent == staged.path.parent
        assert_same(staged.path.read_bytes(), before)

    def test_i13_it_may_be_done_again_after_a_crash(self, step: Any, staged: StagedImage) -> None:
        first = step.execute(staged, silent)
        content = first.path.read_bytes()
        again = step.execute(staged, silent)
        assert (again.path, again.image) == (first.path, first.image)
        assert_same(again.path.read_bytes(), content)

    def test_i14_an_attempt_that_a_crash_left_behind_does_no_harm(
        self, step: Any, staged: StagedImage
    ) -> None:
        done = step.execute(staged, silent)
        if done.path == staged.path:
            pytest.skip("the step makes no file")
        content = done.path.read_bytes()
        done.path.write_bytes(content[: len(content) // 2] + b"torn")
        assert_same(step.execute(staged, silent).path.read_bytes(), content)

    def test_i15_progress_rises_to_the_whole(self, step: Any, staged: StagedImage) -> None:
        told: list[tuple[int, int | None]] = []
        step.execute(staged, lambda done, total: told.append((done, total)))
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert all(total is None or 0 <= done <= total for done, total in told)

    def test_i16_it_ends_when_the_import_was_cancelled(
        self, step: Any, staged: StagedImage
    ) -> None:
        told = []

        def cancel(done: int, total: int | None) -> None:
            told.append(done)
            raise Cancelled

        try:
            step.execute(staged, cancel)
        except Cancelled:
            assert len(told) == 1
        else:
            assert not told, "the step went on after it was cancelled"

    def test_i17_what_it_refuses_it_refuses_in_words(
        self, step: Any, refused: Collection[StagedImage], tmp_path: Path
    ) -> None:
        if not refused:
            pytest.skip("there is no fixture 'refused'")
        for staged in refused:
            before = _content(staged.path.parent)
            with pytest.raises(GlancekitError) as raised:
                step.execute(staged, silent)
            assert str(tmp_path) not in str(raised.value), "users learn where images are staged"
            step.revert(staged)
            assert _content(staged.path.parent) == before

    def test_i19_it_says_what_it_is(self, step: Any) -> None:
        self.check(type(step), ImportStep)

    def test_i20_digests_that_it_hands_on_are_those_of_the_file(
        self, step: Any, staged: StagedImage
    ) -> None:
        done = step.execute(staged, silent)
        content = done.path.read_bytes()
        for algorithm, value in done.digests.items():
            assert hashlib.new(algorithm, content).hexdigest() == value

    def test_i21_what_it_says_that_it_will_replace_it_replaces(
        self, step: Any, staged: StagedImage, unconcerned: Collection[StagedImage]
    ) -> None:
        foreseen: object = step
        if not isinstance(foreseen, SupportsForecast):
            pytest.skip("the step makes no forecast")
        for other in unconcerned:
            assert not foreseen.will_replace(other.image)
        if foreseen.will_replace(staged.image):
            assert step.execute(staged, silent).path != staged.path


@contextmanager
def undone(step: Any, staged: StagedImage) -> Iterator[None]:
    """Undo a step, and see that nothing of it is left."""
    before = _content(staged.path.parent)
    yield
    step.revert(staged)
    step.revert(staged)
    assert _content(staged.path.parent) == before, "I18: the step left this in the folder"


def stage(path: Path, folder: Path, **known: Any) -> StagedImage:
    """Copy a file into a staging folder, as the file of a new image."""
    folder.mkdir(exist_ok=True)
    image = new_image(**known)
    to = folder / image.id
    shutil.copyfile(path, to)
    return StagedImage(image=replace(image, size=to.stat().st_size), path=to, caller=CALLER)


def _content(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}

# SPDX-License-Identifier: Apache-2.0
"""The byte loop: what it measures, what it refuses, what it keeps back until it is sure."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from typing import Any

import pytest

from glancekit.core import digesting, transfer
from glancekit.core.errors import (
    BodyCutShort,
    ConfigError,
    Invalid,
    LimitExceeded,
    SizeMismatch,
    StoreFailed,
    UnacceptableFormat,
)
from glancekit.core.formats import FormatInspection
from glancekit.core.model.image import Location
from glancekit.core.stream import CHUNK_SIZE, ByteStream, FileStream
from glancekit.core.transfer import TransferPlan
from glancekit.testing.faults import BrokenStream, TrickleStream
from glancekit.testing.store import sample

DATA = sample(3 * CHUNK_SIZE + 17)


class Sink:
    """A driver's ``write``: keeps what it was shown, and whether it was shown the end."""

    def __init__(self, read_size: int = CHUNK_SIZE) -> None:
        self.got = b""
        self.saw_end = False
        self._read_size = read_size

    def __call__(self, source: ByteStream) -> Location:
        while chunk := source.read(self._read_size):
            self.got += chunk
        self.saw_end = True
        return Location(url="memory://sink/1")


def plan(**given: Any) -> TransferPlan:
    return TransferPlan(**{"declared_size": None, "size_cap": None} | given)


def stream(data: bytes) -> ByteStream:
    return FileStream(io.BytesIO(data))


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    before = set(threading.enumerate())
    yield
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("digest")]


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE, len(DATA)])
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("read_size", [CHUNK_SIZE, 65_536, 3 * CHUNK_SIZE])
def test_the_receipt_says_what_went_over(size: int, declared: bool, read_size: int) -> None:
    data, sink = DATA[:size], Sink(read_size)
    wanted = plan(declared_size=size if declared else None)
    location, receipt = transfer.run(stream(data), wanted, sink)
    assert sink.got == data
    assert (location.url, location.size) == ("memory://sink/1", size)
    assert receipt.size == size
    assert receipt.checksum == hashlib.md5(data).hexdigest()
    assert (receipt.hash_algo, receipt.hash_value) == ("sha512", hashlib.sha512(data).hexdigest())
    assert (receipt.detected_format, receipt.virtual_size) == (None, None)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_the_second_digest_is_of_the_asked_algorithm(algorithm: str) -> None:
    _, receipt = transfer.run(stream(DATA), plan(hash_algo=algorithm), Sink())
    assert receipt.hash_value == hashlib.new(algorithm, DATA).hexdigest()
    assert receipt.checksum == hashlib.md5(DATA).hexdigest()


def test_an_unknown_algorithm_is_the_operator_s_mistake() -> None:
    with pytest.raises(ConfigError):
        transfer.run(stream(DATA), plan(hash_algo="rot13"), Sink())


def test_small_pieces_are_put_together() -> None:
    chunks: list[int] = []

    class Watch:
        def feed(self, chunk: bytes) -> None:
            chunks.append(len(chunk))

        def finish(self) -> None:
            chunks.append(0)

    data = DATA[: CHUNK_SIZE + 5]
    transfer.run(TrickleStream(data, piece=8192), plan(observers=[Watch()]), Sink())
    assert sum(chunks) == len(data)
    assert len(chunks) <= 1 + -(-len(data) // transfer.GATHER)
    assert chunks[-1] == 0


@pytest.mark.parametrize("declared", [0, 1, CHUNK_SIZE, len(DATA) - 1])
def test_a_byte_too_many_is_noticed_at_once(declared: int) -> None:
    sink = Sink()
    with pytest.raises(SizeMismatch) as refused:
        transfer.run(stream(DATA), plan(declared_size=declared), sink)
    assert refused.value.expected == declared
    assert not sink.saw_end
    assert len(sink.got) < max(declared, 1), "the last byte is kept until all is verified"


@pytest.mark.parametrize("missing", [1, CHUNK_SIZE, len(DATA)])
def test_a_byte_too_few_is_noticed_before_the_end(missing: int) -> None:
    sink = Sink()
    with pytest.raises(SizeMismatch) as refused:
        transfer.run(stream(DATA[missing:]), plan(declared_size=len(DATA)), sink)
    assert (refused.value.expected, refused.value.received) == (len(DATA), len(DATA) - missing)
    assert not sink.saw_end


def test_the_cap_is_held_against_the_declaration_before_a_byte_is_read() -> None:
    def never(source: ByteStream) -> Location:
        raise AssertionError("the driver must not be asked")

    with pytest.raises(LimitExceeded) as refused:
        transfer.run(stream(DATA), plan(declared_size=11, size_cap=10), never)
    assert (refused.value.limit, refused.value.asked) == (10, 11)


def test_the_cap_is_held_against_the_bytes_where_nothing_was_declared() -> None:
    sink = Sink()
    with pytest.raises(LimitExceeded):
        transfer.run(stream(DATA), plan(size_cap=CHUNK_SIZE), sink)
    assert len(sink.got) <= CHUNK_SIZE
    assert not sink.saw_end


def test_the_cap_itself_is_allowed() -> None:
    _, receipt = transfer.run(stream(DATA), plan(size_cap=len(DATA)), Sink())
    assert receipt.size == len(DATA)


@pytest.mark.parametrize("error", [BodyCutShort(received=5, expected=9), OSError("reset")])
def test_what_the_source_raises_comes_out_whatever_the_driver_makes_of_it(
    error: Exception,
) -> None:
    def translate(source: ByteStream) -> Location:
        try:
            return Sink()(source)
        except Exception as raised:
            raise StoreFailed("my medium broke") from raised

    broken = BrokenStream(DATA, at=CHUNK_SIZE + 5, error=error)
    with pytest.raises(type(error)) as caught:
        transfer.run(broken, plan(), translate)
    assert caught.value is error


def test_an_error_that_the_driver_swallows_comes_out_all_the_same() -> None:
    error = BodyCutShort(received=5, expected=9)

    def swallow(source: ByteStream) -> Location:
        for _ in range(3):  # asking again does not help either
            try:
                Sink()(source)
            except BodyCutShort:
                continue
        return Location(url="memory://sink/1")

    with pytest.raises(BodyCutShort) as caught:
        transfer.run(BrokenStream(DATA, at=5, error=error), plan(), swallow)
    assert caught.value is error


@pytest.mark.parametrize("size", [11, CHUNK_SIZE, len(DATA)])
@pytest.mark.parametrize("declared", [True, False])
def test_a_driver_that_does_not_take_everything_has_failed(size: int, declared: bool) -> None:
    def half(source: ByteStream) -> Location:
        source.read(10)
        return Location(url="memory://sink/1")

    with pytest.raises(StoreFailed):
        transfer.run(stream(DATA[:size]), plan(declared_size=size if declared else None), half)


def test_a_driver_that_reads_as_much_as_was_declared_need_not_see_the_end() -> None:
    def exact(source: ByteStream) -> Location:
        left = len(DATA)
        while left:
            left -= len(source.read(left))
        return Location(url="memory://sink/1")

    _, receipt = transfer.run(stream(DATA), plan(declared_size=len(DATA)), exact)
    assert receipt.size == len(DATA)


def test_a_driver_that_is_told_of_nothing_need_not_read() -> None:
    location = Location(url="memory://sink/1")
    _, receipt = transfer.run(stream(b""), plan(declared_size=0), lambda source: location)
    assert receipt.size == 0


def test_the_driver_s_own_error_comes_out() -> None:
    def fail(source: ByteStream) -> Location:
        source.read(10)
        raise StoreFailed("out of order")

    with pytest.raises(StoreFailed, match="out of order"):
        transfer.run(stream(DATA), plan(), fail)


def refuse() -> None:
    raise Invalid("somebody else has taken over")


class Objecting:
    def feed(self, chunk: bytes) -> None:
        """See it."""

    def finish(self) -> None:
        raise Invalid("I do not like it")


LAST_CHECKS: dict[str, dict[str, Any]] = {
    "before_end": {"before_end": refuse},
    "observer": {"observers": [Objecting()]},
    "checksum": {"expected_checksum": "0" * 32},
    "hash": {"expected_hash": "0" * 128},
    "format": {"inspector": FormatInspection("qcow2", "bare")},
}


@pytest.mark.parametrize("declared", [len(DATA), None])
@pytest.mark.parametrize("check", LAST_CHECKS)
def test_no_driver_sees_the_end_of_what_a_last_check_refuses(
    check: str, declared: int | None
) -> None:
    sink = Sink()
    with pytest.raises(Invalid):
        transfer.run(stream(DATA), plan(declared_size=declared, **LAST_CHECKS[check]), sink)
    assert not sink.saw_end
    if declared:
        assert len(sink.got) < declared, "and not the last byte either, where that is known"


def test_the_right_digests_are_accepted_in_either_case() -> None:
    wanted = plan(
        expected_checksum=hashlib.md5(DATA).hexdigest().upper(),
        expected_hash=hashlib.sha512(DATA).hexdigest(),
    )
    transfer.run(stream(DATA), wanted, Sink())


def test_the_inspector_s_verdict_is_in_the_receipt() -> None:
    inspector = FormatInspection("raw", "bare")
    _, receipt = transfer.run(stream(DATA), plan(inspector=inspector), Sink())
    assert (receipt.detected_format, receipt.virtual_size) == ("raw", len(DATA))


def test_a_wrong_format_ends_the_transfer_early() -> None:
    read: list[int] = []

    class Long(TrickleStream):
        def read(self, size: int = -1, /) -> bytes:
            read.append(size)
            return super().read(size)

    with pytest.raises(UnacceptableFormat):
        inspector = FormatInspection("qcow2", "bare")
        transfer.run(Long(DATA, piece=CHUNK_SIZE), plan(inspector=inspector), Sink())
    assert len(read) == 1


def test_a_slow_digest_holds_the_source_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or memory would grow with the image."""
    may_go_on, seen = threading.Event(), []

    class Slow:
        def update(self, chunk: bytes) -> None:
            may_go_on.wait(30)
            seen.append(chunk)

        def hexdigest(self) -> str:
            return "the digest"

    monkeypatch.setattr(digesting.hashlib, "new", lambda *_, **__: Slow())
    chunks, fed = [bytes([number]) for number in range(50)], []

    def feed() -> None:
        for chunk in chunks:
            digests.feed(chunk)
            fed.append(chunk)

    with digesting.digesting(["slow"]) as digests:
        feeding = threading.Thread(target=feed)
        feeding.start()
        while len(fed) <= digesting.QUEUED_CHUNKS:
            time.sleep(0.01)
        feeding.join(0.2)
        assert len(fed) == digesting.QUEUED_CHUNKS + 1  # and the one that is being digested
        may_go_on.set()
        feeding.join(30)
        assert digests.finish() == {"slow": "the digest"}
    assert seen == chunks


def test_what_nobody_will_need_is_not_digested() -> None:
    _, receipt = transfer.run(FileStream(io.BytesIO(DATA)), plan(hash_algo=None), Sink())
    assert receipt.size == len(DATA)
    assert (receipt.checksum, receipt.hash_algo, receipt.hash_value) == (None, None, None)


def test_zeros_are_digested_like_bytes() -> None:
    count = 2 * CHUNK_SIZE + 7
    with digesting.digesting(["md5", "sha512", "md5"]) as digests:
        digests.feed(b"a")
        digests.feed_zeros(count)
        digests.feed_zeros(0)
        digests.feed(b"z")
        found = digests.finish()
    whole = b"a" + bytes(count) + b"z"
    assert found == {name: hashlib.new(name, whole).hexdigest() for name in ("md5", "sha512")}

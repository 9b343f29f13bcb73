# SPDX-License-Identifier: Apache-2.0
"""The worker process: gunicorn's thread worker, made safe against clients that take their time.

What it serves is built by the application object it is given (``server.py``).
"""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from glancekit.core.errors import GlancekitError
from glancekit.serving.connection_requests import ConnectionRequests
from glancekit.serving.header_gate import Connection, HeaderGate, has_header
from glancekit.serving.patient_socket import PatientSocket
from glancekit.serving.request_body import straighten
from glancekit.serving.transfer_slots import TransferSlots

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

STACK_SIZE = 1 << 20
"""Of each thread. Only touched pages cost memory, but address space may be limited, too."""

IN_A_ROW = 32
"""Requests of one connection that a thread serves before others have their turn."""

LINGER_MS = 2
"""Milliseconds that a thread waits for the next request of a connection before it lets go."""

RESTART_PAUSE = 1.0
"""Seconds before a worker that cannot start gives up, so that the master does not spin."""


class GlancekitWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Serves many slow transfers and short requests side by side.

    Beyond gunicorn's own: a connection gets a thread when its header is complete; a transfer
    that does not move is given up; long transfers leave some threads free.
    """

    wsgi: WSGIApplication
    _gate: HeaderGate
    _slots: TransferSlots
    _is_quitting = False

    def init_process(self) -> None:
        """Start what belongs to this process, then serve until told to stop."""
        threading.stack_size(STACK_SIZE)
        self._gate = HeaderGate(self._submit, timeout=self.app.server.header_timeout)
        super().init_process()

    def load_wsgi(self) -> None:
        """Build the application in this process; one that cannot be built is tried again."""
        try:
            super().load_wsgi()
        except GlancekitError as error:
            # The start check passed, so it is the surroundings: a database that is away, say.
            self.log.error("this worker cannot start and will be tried again: %s", error)
            time.sleep(RESTART_PAUSE)
            sys.exit(os.EX_TEMPFAIL)
        limit = self.cfg.threads - self.app.server.reserved_threads
        self._slots = TransferSlots(self.wsgi, limit)
        self.wsgi = self._slots
        self._gate.start()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Return a pool that makes a thread only when no other is idle."""
        return ThreadPoolExecutor(self.cfg.threads, thread_name_prefix="request")

    def enqueue_req(self, conn: TConn) -> None:
        """Take a connection that has something to say; it gets a thread when that is a request."""
        if type(conn.sock) is socket.socket:
            conn.sock = PatientSocket.take_over(conn.sock)
        # With a time-out left from the request before, Python would wait before it even looks.
        conn.sock.settimeout(None)
        if self.cfg.is_ssl:
            super().enqueue_req(conn)
            return
        if conn.parser is None:
            conn.parser = ConnectionRequests(self.cfg, conn.sock, conn.client)
        self._gate.enter(conn, _read_ahead(conn))

    def _submit(self, conn: Connection) -> None:
        if threading.current_thread() is threading.main_thread():
            super().enqueue_req(conn)
        else:
            self.method_queue.defer(super().enqueue_req, conn)

    def handle(self, conn: TConn) -> Any:
        """Serve the request that waits on a connection, and those that follow close behind.

        Runs in a thread of the pool. Going back to the main thread between two requests costs
        more than most requests do.
        """
        kept = self._handle_one(conn)
        for _ in range(IN_A_ROW - 1):
            # What TLS has decrypted already, or may, cannot be looked at from outside.
            if kept is not True or not self.alive or self.cfg.is_ssl or not _follows(conn):
                break
            kept = self._handle_one(conn)
        return kept

    def _handle_one(self, conn: TConn) -> Any:
        self._gate.begin_reading(conn)
        try:
            return super().handle(conn)
        finally:
            self._gate.end_reading(conn)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Answer one request, with the time-outs of a transfer."""
        self._gate.end_reading(conn)
        conn.sock.settimeout(self.app.server.idle_timeout)
        conn.sock.from_files = 0
        straighten(req)
        try:
            return super().handle_request(req, conn)
        except TimeoutError as error:
            # As if it had hung up, which gunicorn takes calmly; the access log says how far.
            raise BrokenPipeError(errno.EPIPE, "the client stopped reading") from error
        finally:
            self._slots.release()

    def handle_quit(self, sig: int, frame: Any) -> None:
        """End now. Ctrl-C in a terminal is told to every process, and once more by the master: a
        second exit would break off what lets go of everything, and leave the process hanging.
        """
        if not self._is_quitting:
            self._is_quitting = True
            super().handle_quit(sig, frame)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop taking requests; those at hand go on."""
        self._gate.close()
        super().handle_exit(sig, frame)


def _read_ahead(conn: TConn) -> bytes:
    """What came of the next request together with the one before."""
    unreader = conn.parser.unreader
    data: bytes = unreader.take_buffered()
    unreader.unread(data)
    return data


def _follows(conn: TConn) -> bool:
    """Say whether the whole header of the next request is there, or comes in a moment."""
    poll = select.poll()
    poll.register(conn.sock, select.POLLIN)
    return bool(poll.poll(LINGER_MS)) and has_header(conn.sock)

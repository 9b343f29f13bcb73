# SPDX-License-Identifier: Apache-2.0
"""The server's life: where it listens, how it starts, loses a worker, and stops."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import threading

import pytest


def test_a_killed_worker_is_replaced(start):
    server = start()
    first = int(server.get("/pid").rsplit(b"\r\n", 1)[1])
    os.kill(first, signal.SIGKILL)
    second = int(server.get("/pid").rsplit(b"\r\n", 1)[1])
    assert second != first


def test_sigterm_lets_transfers_end(start):
    server = start()
    answers = []
    slow = threading.Thread(target=lambda: answers.append(server.get("/slow?1.5")))
    slow.start()
    server.wait_for("slow begins")
    server.process.send_signal(signal.SIGTERM)
    slow.join(60)
    assert b" 200 OK" in answers[0]
    assert server.process.wait(60) == 0
    assert "closed" in server.text()


def test_connections_without_a_request_do_not_hold_up_the_stop(start):
    server = start(header_timeout=100, keep_alive=100, graceful_timeout=100)
    silent, kept = server.connect(), server.connect()
    silent.sendall(b"GET /pid HT")
    kept.sendall(b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 200 OK" in kept.recv(1000)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    silent.close()
    kept.close()


def test_a_second_signal_stops_at_once(start):
    server = start(graceful_timeout=1000)
    with server.connect() as sock:
        sock.sendall(b"GET /slow?1000 HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("slow begins")
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(1.5)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)


def test_interrupt_stops_at_once(start):
    server = start(graceful_timeout=1000)
    with server.connect() as sock:
        sock.sendall(b"GET /slow?1000 HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("slow begins")
        server.process.send_signal(signal.SIGINT)
        server.process.wait(60)


def test_a_taken_port_is_said_in_one_line(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start(listens=False, address={"port": port})
        assert server.process.wait(60) == os.EX_CONFIG
    said = server.text().strip()
    assert "\n" not in said
    assert f"Cannot listen on 127.0.0.1:{port}: it is in use" in said


def test_a_failed_check_ends_the_start_with_its_message(start):
    server = start(listens=False, problem="[auth] driver = nosuch: install it")
    assert server.process.wait(60) == os.EX_CONFIG
    assert server.text().strip() == "[auth] driver = nosuch: install it"


def test_it_listens_on_ipv6(start):
    server = start(address={"host": "::1", "port": 0})
    assert server.url.startswith("http://[::1]:")
    assert b" 200 OK" in server.get("/pid")


def test_it_listens_on_a_local_socket_also_after_a_kill(start, tmp_path):
    path = str(tmp_path / "socket")
    first = start(address={"unix_socket": path})
    os.killpg(first.process.pid, signal.SIGKILL)
    first.process.wait(60)
    second = start(address={"unix_socket": path})
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 OK" in sock.recv(1000)
    second.process.send_signal(signal.SIGTERM)
    second.process.wait(60)
    assert not os.path.exists(path)


def test_it_speaks_tls_and_bounds_the_handshake(start, tmp_path):
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )  # fmt: skip
    server = start(certfile=cert, keyfile=key, header_timeout=5)
    assert server.url.startswith("https://")
    context = ssl.create_default_context(cafile=cert)
    context.check_hostname = False
    with context.wrap_socket(server.connect()) as sock:
        sock.sendall(b"GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = 0
        while piece := sock.recv(1 << 16):
            received += len(piece)
    assert received > 48 << 20
    with server.connect() as silent:
        assert silent.recv(1000) == b""


@pytest.mark.parametrize("wish", ["websocket", "h2c", "TLS/1.0"])
def test_who_wishes_for_another_protocol_is_served_in_this_one(start, wish):
    """RFC 9110, 7.8: a server may pass the wish over."""
    wishes = f"GET /pid HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {wish}\r\n\r\n"
    plain = "GET /pid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = start().ask((wishes + plain).encode())
    assert answers.count(b" 200 OK") == 2
    assert b" 101 " not in answers

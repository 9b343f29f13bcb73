# SPDX-License-Identifier: Apache-2.0
"""Each part of a configuration, broken in turn: the message says what, where, and what to do."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

BROKEN: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "a section without its end": (
        "[server\nport = 1\n",
        ("glancekit.conf:", "must end with ]", "mend"),
    ),
    "an option outside of a section": (
        "\nport = 1\n",
        ("glancekit.conf:2", "Section must be started", "mend"),
    ),
    "no text at all": (b"[server]\n\xff\xfe\n", ("glancekit.conf", "not UTF-8", "mend the file")),
    "an option that is misspelt": (
        "logfile = x\n",
        ("[DEFAULT] logfile", "did you mean log_file"),
    ),
    "a section that is misspelt": ("[sever]\nport = 1\n", ("[sever]", "did you mean server")),
    "no number": ("[server]\nport = many\n", ("[server] port = many", "from", "at most 65535")),
    "a number too high": ("[server]\nport = 99999\n", ("[server] port", "at most 65535")),
    "a number too low": ("[server]\nthreads = 1\n", ("[server] threads", "at least 8")),
    "neither yes nor no": ("debug = perhaps\n", ("[DEFAULT] debug", "boolean", "leave it out")),
    "none of the choices": (
        "[glance_store]\nchoose_by = mood\n",
        ("[glance_store] choose_by", "default, weight, free_space"),
    ),
    "stores without drivers": (
        "enabled_backends = local\n",
        ("[DEFAULT] enabled_backends", "NAME:VALUE"),
    ),
    "no stores": ("enabled_backends =\n", ("enabled_backends", "for example")),
    "a store's id that is none": (
        "enabled_backends = my store:file\n",
        ("enabled_backends", "my store", "letters, digits"),
    ),
    "two stores of one name": ("enabled_backends = a:file, a:file\n", ("Duplicate key a",)),
    "no default store": (
        "enabled_backends = a:file, b:file\n",
        ("[glance_store] default_backend", "one of: a, b"),
    ),
    "a default store that is none": (
        "enabled_backends = a:file\n[glance_store]\ndefault_backend = b\n",
        ("[glance_store] default_backend = b", "one of: a"),
    ),
    "a store's driver that is not there": (
        "enabled_backends = a:tape\n",
        ("store a", "installed are: ", "pip install glancekit-tape-store"),
    ),
    "a metadata driver that is not there": (
        "[metadata]\ndriver = oracle\n",
        ("metadata", "oracle", "pip install glancekit-oracle-metadata"),
    ),
    "an auth driver that is not there": (
        "[auth]\ndriver = kerberos\n",
        ("auth", "kerberos", "pip install glancekit-kerberos-auth"),
    ),
    "limits that are not there": (
        "[quotas]\ndriver = none\n",
        ("quotas", "installed are: config"),
    ),
    "an import method that is not there": (
        "enabled_import_methods = glance-direct, ftp\n",
        ("import method ftp", "pip install glancekit-ftp-import-method"),
    ),
    "an import step that is not there": (
        "[image_import_opts]\nimage_import_plugins = polish\n",
        ("import step polish", "pip install glancekit-polish-import-step"),
    ),
    "a database without an address": (
        "[metadata]\ndriver = postgresql\n",
        ("[metadata] connection", "postgresql://USER"),
    ),
    "a Keystone without an address": (
        "[auth]\ndriver = keystone\n",
        ("[auth] auth_url", "for example http"),
    ),
    "peers that are no addresses": (
        "[auth]\ndriver = trusted\ntrusted_peers = here\n",
        ("[auth] trusted_peers", "here", "10.0.0.0/8"),
    ),
    "a bucket that nobody named": (
        "enabled_backends = a:s3\n",
        ("store a", "s3_store_bucket", "name the bucket"),
    ),
    "a policy file that is not there": (
        "[oslo_policy]\npolicy_file = /nowhere/policy.yaml\n",
        ("[oslo_policy] policy_file = /nowhere/policy.yaml", "create it"),
    ),
    "a policy file that is no YAML": (
        "[oslo_policy]\npolicy_file = {here}/bad.yaml\n",
        ("bad.yaml:", "mend the YAML"),
    ),
    "protections that are not there": (
        "property_protection_file = /nowhere\n",
        ("[DEFAULT] property_protection_file", "create it"),
    ),
    "a schema that is not there": (
        "schema_image_file = /nowhere.json\n",
        ("[DEFAULT] schema_image_file", "No such file", "mend the file"),
    ),
    "a board that nobody knows": (
        "[taskflow]\njobboard = carrier://pigeon\n",
        ("[taskflow] jobboard", "redis"),
    ),
    "a certificate without its key": (
        "[server]\ncertfile = {here}/bad.yaml\n",
        ("[server] certfile and keyfile", "together"),
    ),
    "a certificate that is not there": (
        "[server]\ncertfile = /nowhere.pem\nkeyfile = /nowhere.key\n",
        ("[server] certfile = /nowhere.pem", "mend its name"),
    ),
    "a certificate that is none": (
        "[server]\ncertfile = {here}/bad.yaml\nkeyfile = {here}/bad.yaml\n",
        ("[server] certfile", "both PEM"),
    ),
    "a folder that is a file": (
        "data_dir = {here}/bad.yaml\n",
        ("[DEFAULT] data_dir", "bad.yaml", "name another folder"),
    ),
    "a listener to switch off that is none": (
        "[plugins]\ndisabled = nosuch\n",
        ("[plugins] disabled", "nosuch", "installed are: "),
    ),
    "threads that leave none": (
        "[server]\nthreads = 8\nreserved_threads = 8\n",
        ("[server] reserved_threads", "make it smaller"),
    ),
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_broken_configuration_is_told(
    run: Run, config_file: Path, tmp_path: Path, way: str
) -> None:
    text, words = BROKEN[way]
    (tmp_path / "bad.yaml").write_text("a: [b\n")
    if isinstance(text, bytes):
        config_file.write_bytes(text)
    else:
        begin = "" if text.startswith(("\n", "data_dir")) else config_file.read_text()
        begin = "[DEFAULT]\n" if text.startswith("data_dir") else begin
        config_file.write_text(begin + text.format(here=tmp_path))
    outcome = run("config", "check")
    assert outcome.code == 78
    said = outcome.out + outcome.err
    for word in words:
        assert word in said, said
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 2, "one sentence for one thing"


def test_all_that_is_broken_is_told_at_once(run: Run, config_file: Path) -> None:
    config_file.write_text(
        config_file.read_text() + "enabled_backends = local:file, b:tape\nlogfile = x\n"
        "[glance_store]\ndefault_backend = local\n[taskflow]\njobboard = carrier://pigeon\n"
        "[oslo_policy]\npolicy_file = /nowhere/policy.yaml\n"
    )
    outcome = run("config", "check")
    assert outcome.code == 78
    assert len(outcome.out.splitlines()) == 4


# -- what only the start finds


def serve(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "glancekit.cli", "--config-file", str(config), "serve"]
    return subprocess.run(
        [*command, "--workers", "1", *arguments], capture_output=True, text=True, timeout=100
    )


def test_a_port_that_is_taken(config_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = serve(config_file, "--port", port)
    assert done.returncode == 78
    assert port in done.stderr
    assert "[server] port" in done.stderr or "--port" in done.stderr


def test_a_database_of_somebody_else(config_file: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with closing(sqlite3.connect(tmp_path / "data/glancekit.sqlite")) as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    done = serve(config_file, "--port", "0")
    assert done.returncode != 0
    assert "not glancekit's" in done.stderr


def test_open_to_others_without_auth(config_file: Path) -> None:
    done = serve(config_file, "--port", "0", "--host", "0.0.0.0")
    assert done.returncode == 78
    assert "unsafe-allow-unauthenticated-access" in done.stderr.replace("_", "-")


def test_a_database_that_does_not_answer(config_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config_file.write_text(
        config_file.read_text() + "[metadata]\ndriver = postgresql\n"
        f"connection = postgresql://u:hunter2@127.0.0.1:{port}/g\n"
    )
    done = serve(config_file, "--port", "0")
    assert done.returncode == 1
    assert "hunter2" not in done.stderr
    assert f"127.0.0.1:{port}" in done.stderr
    assert "mend its address in [metadata]" in done.stderr

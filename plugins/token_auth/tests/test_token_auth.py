# SPDX-License-Identifier: Apache-2.0
"""The driver and the command: whom a token lets in, from its making to its end."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from glancekit_token_auth.commands import register_commands
from glancekit_token_auth.driver import TokenAuth
from glancekit_token_auth.token_file import TokenFile

from glancekit.plugin import (
    Credentials,
    GlancekitError,
    Identity,
    Unauthenticated,
    Unavailable,
)
from glancekit.testing.auth import AuthConformance


class Tokens:
    """``glancekit token`` on a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tokens.json"
        self.driver = "token"

    def run(self, *words: str) -> Result:
        [command] = register_commands(self.read_section)
        return CliRunner().invoke(command, words, catch_exceptions=False)

    def read_section(self, section: str, options: Sequence[Any]) -> SimpleNamespace:
        """Return what a configuration would say."""
        assert (section, [option.dest for option in options]) == ("auth", ["path"])
        return SimpleNamespace(path=str(self.path), driver=self.driver)

    def create(self, *words: str, user: str = "alice", project: str = "demo") -> dict[str, Any]:
        result = self.run("create", "--user", user, "--project", project, *words, "-f", "json")
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.stdout))

    def listed(self) -> list[dict[str, Any]]:
        return list(json.loads(self.run("list", "-f", "json").stdout))


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path)


@pytest.fixture
def driver(tokens: Tokens) -> TokenAuth:
    return TokenAuth(SimpleNamespace(path=str(tokens.path)), name="token")


def ask(driver: TokenAuth, token: str) -> Identity:
    return driver.authenticate(Credentials({"x-auth-token": token}, "192.0.2.1"))


class TestConformance(AuthConformance):
    """The kit, with two callers and the ways in which a token can be wrong."""

    @pytest.fixture
    def driver(self, tokens: Tokens) -> TokenAuth:
        alice = tokens.create()["token"]
        admin = tokens.create("--role", "Admin", user="root", project="infra")["token"]
        other = tokens.create()
        tokens.run("revoke", other["id"])
        a, b = alice[:17], alice[17:]
        self.accepted = [
            (
                Credentials({"x-auth-token": alice}, ""),
                Identity(
                    user_id="alice", project_id="demo", roles=frozenset({"member", "reader"})
                ),
            ),
            (
                Credentials({"authorization": f"bearer {admin}"}, "192.0.2.1"),
                Identity(
                    user_id="root",
                    project_id="infra",
                    roles=frozenset({"admin", "manager", "member", "reader"}),
                ),
            ),
        ]
        self.refused = [
            Credentials({"x-auth-token": wrong}, "127.0.0.1")
            for wrong in (
                *(other["token"], alice + "0", alice[:-1], alice.upper(), alice + "\n", a, b),
                *(a + admin[17:], alice[:-1] + ("0" if alice[-1] != "0" else "1")),
                "gk_000000000000_" + "0" * 64,
            )
        ] + [
            Credentials({"authorization": f"Basic {alice}"}, "127.0.0.1"),
            Credentials({"authorization": alice}, "127.0.0.1"),
        ]
        return TokenAuth(SimpleNamespace(path=str(tokens.path)), name="token")


def test_the_token_is_nowhere_but_with_whom_it_was_made_for(tokens: Tokens) -> None:
    token = tokens.create()["token"]
    assert token[17:] not in tokens.path.read_text()
    for shown in (tokens.run("list").output, tokens.run("list", "-f", "json").output):
        assert token[17:] not in shown
        assert "digest" not in shown


def test_no_two_tokens_are_alike(tokens: Tokens) -> None:
    made = {tokens.create()["token"] for _ in range(10)}
    assert len(made) == 10
    assert len(tokens.listed()) == 10


def test_a_token_is_printed_alone_so_that_a_shell_can_keep_it(
    tokens: Tokens, driver: TokenAuth
) -> None:
    result = tokens.run("create", "--user", "bob", "--project", "demo", "--role", "reader")
    identity = ask(driver, result.stdout.strip())
    assert (identity.user_id, identity.roles) == ("bob", frozenset({"reader"}))
    assert "not shown again" in result.stderr


def test_a_revoked_token_is_refused(tokens: Tokens, driver: TokenAuth) -> None:
    made, other = tokens.create(), tokens.create(user="bob")
    assert ask(driver, made["token"]).user_id == "alice"
    assert tokens.run("revoke", made["id"]).exit_code == 0
    with pytest.raises(Unauthenticated):
        ask(driver, made["token"])
    assert ask(driver, other["token"]).user_id == "bob"
    assert [row["user"] for row in tokens.listed()] == ["bob"]


def test_an_expired_token_is_refused_and_listed_as_such(tokens: Tokens, driver: TokenAuth) -> None:
    made = tokens.create("--expires", "30m")
    with TokenFile(str(tokens.path)).change() as records:
        records[made["id"]] = dataclasses.replace(records[made["id"]], expires=time.time() - 1)
    with pytest.raises(Unauthenticated, match="expired"):
        ask(driver, made["token"])
    assert tokens.listed()[0]["expired"]
    assert "(over)" in tokens.run("list").output


@pytest.mark.parametrize(
    ("span", "seconds"), [("1m", 60), ("12h", 43_200), ("90d", 7_776_000), ("2w", 1_209_600)]
)
def test_spans_of_time(tokens: Tokens, span: str, seconds: int) -> None:
    made = tokens.create("--expires", span)
    record = TokenFile(str(tokens.path)).records()[made["id"]]
    assert record.expires == pytest.approx(record.created + seconds)


@pytest.mark.parametrize(
    "words",
    [
        ("--expires", "soon"),
        ("--expires", "0d"),
        ("--expires", "-1d"),
        ("--expires", "1y"),
        ("--user", ""),
        ("--project", " "),
        ("--role", "a\nb"),
    ],
)
def test_what_makes_no_sense_makes_no_token(tokens: Tokens, words: tuple[str, ...]) -> None:
    with pytest.raises(GlancekitError):
        tokens.run("create", "--user", "alice", "--project", "demo", *words)
    assert not tokens.path.exists()


def test_revoking_what_is_not_there_revokes_nothing(tokens: Tokens) -> None:
    made = tokens.create()
    with pytest.raises(GlancekitError, match="none was revoked"):
        tokens.run("revoke", made["id"], "nonsense")
    assert [row["id"] for row in tokens.listed()] == [made["id"]]


def test_a_damaged_file_lets_nobody_in_and_is_told_to_the_operator(
    tokens: Tokens, driver: TokenAuth, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.path.write_text("{")
    with pytest.raises(Unavailable) as caught:
        ask(driver, f"gk_{'0' * 12}_{'0' * 64}")
    assert str(tokens.path) in caplog.text
    assert str(tokens.path) not in str(caught.value)


def test_another_file_can_be_named(tokens: Tokens, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "t.json"
    result = tokens.run("--path", str(other), "create", "--user", "u", "--project", "p")
    assert result.exit_code == 0
    assert len(TokenFile(str(other)).records()) == 1
    assert not tokens.path.exists()


def test_a_service_that_does_not_ask_for_tokens_is_mentioned(tokens: Tokens) -> None:
    assert "Note" not in tokens.run("list").stderr
    tokens.driver = "none"
    assert "set it to 'token'" in tokens.run("list").stderr

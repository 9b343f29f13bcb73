# SPDX-License-Identifier: Apache-2.0
"""Who logs in where: the accounts that the configuration names, and those of old locations.

How to log in is the account's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from configparser import ConfigParser, InterpolationError
from configparser import Error as ParserError
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from glancekit.plugin import ConfigError

KEYSTONE = "3"
ITSELF = "1"

_DOMAINS = ("project_domain_id", "project_domain_name", "user_domain_id", "user_domain_name")
_DEFAULT_DOMAIN = "default"

_QUOTES = ("'", '"')
"""What upstream takes off a value, where it begins and ends with the same."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What it takes to log in. ``repr`` shows no secret."""

    auth_address: str
    auth_version: str = KEYSTONE
    user: str = ""
    key: str = field(default="", repr=False)
    credential_id: str = ""
    credential_secret: str = field(default="", repr=False)
    domains: frozenset[tuple[str, str]] = frozenset()

    @property
    def project(self) -> str:
        """What is before the colon of the user."""
        return self.user.partition(":")[0]

    @property
    def name(self) -> str:
        """What is behind the colon of the user."""
        return self.user.partition(":")[2]

    @property
    def can_be_sent(self) -> bool:
        """The protocol has a form for user and password. With v1 auth they are headers, which have
        one line and begin with no space."""
        sent = (self.user, self.key) if self.auth_version == ITSELF else ()
        return not any(text[:1].isspace() or {"\r", "\n"} & set(text) for text in sent)

    def of_user(self, user: str, key: str) -> Reference:
        """Return how another user logs in there."""
        return replace(self, user=user, key=key, credential_id="", credential_secret="")


def plain_reference(options: Any) -> Reference:
    """Return the account that the options name themselves.

    :raises ConfigError: when they do not.
    """
    prefix = "swift_store_"
    return _reference(
        {
            name: getattr(options, prefix + name)
            for name in (
                "auth_address",
                "auth_version",
                "user",
                "key",
                "application_credential_id",
                "application_credential_secret",
                *_DOMAINS,
            )
        },
        prefix,
        where="",
    )


def read_references(path: str) -> Mapping[str, Reference]:
    """Return the accounts that a file names, section by section.

    :raises ConfigError: when it cannot be read or lacks something.
    """
    parser = ConfigParser()
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except OSError as error:
        raise ConfigError(f"swift_store_config_file: {error.strerror}: {path}") from error
    except (ParserError, UnicodeDecodeError) as error:
        # What is wrong may be a line with a password in it.
        kind = type(error).__name__
        raise ConfigError(f"swift_store_config_file is no INI file ({kind}): {path}") from None
    if not parser.sections():
        raise ConfigError(f"swift_store_config_file has no sections: {path}")
    found: dict[str, Reference] = {}
    for name in parser.sections():
        where = f" in section [{name}] of {path}"
        found[name] = _reference(_section(parser, name, where), "", where=where)
    return found


def _section(parser: ConfigParser, name: str, where: str) -> Mapping[str, str]:
    """Return a section as upstream reads it: ``%%`` is a percent sign, and a value may be quoted.

    A single percent sign, which upstream does not read at all, is one, too.

    :raises ConfigError: when a quote has no end.
    """
    found: dict[str, str] = {}
    for option in parser.options(name):
        try:
            value = parser.get(name, option)
        except InterpolationError:
            value = parser.get(name, option, raw=True)
        found[option] = _unquoted(value, option + where)
    return found


def _unquoted(value: str, what: str) -> str:
    if value[:1] not in _QUOTES:
        return value
    if len(value) < 2 or value[0] != value[-1]:
        raise ConfigError(f"{what}: the quote that it begins with has no end")
    return value[1:-1]


def normal_address(address: str) -> str:
    """Return where to log in: with a scheme, https when none is said, without a slash at the end.

    :raises ConfigError: when it is none, or has credentials in it.
    """
    url = (address if "://" in address else f"https://{address}").rstrip("/")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises when it is no number
    except ValueError:
        raise ConfigError("the address of the authentication is not a URL") from None
    if "@" in parts.netloc:
        raise ConfigError("the address of the authentication has credentials in it")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ConfigError(f"'{address}' is no address of an authentication")
    return url


def host_of(address: str) -> str:
    """Return host and port of an address, as two ways to write one have them in common.

    :raises ConfigError: when it is no address.
    """
    return urlsplit(normal_address(address)).netloc.lower()


def _reference(given: Mapping[str, str], prefix: str, *, where: str) -> Reference:
    if not given.get("auth_address"):
        raise ConfigError(f"{prefix}auth_address is empty{where}: say where to log in")
    version = given.get("auth_version") or KEYSTONE
    if version not in (KEYSTONE, ITSELF):
        raise ConfigError(
            f"{prefix}auth_version = {version}{where} is not spoken here: use 3 (Keystone) or 1"
        )
    made = Reference(
        auth_address=normal_address(given["auth_address"]),
        auth_version=version,
        user=given.get("user") or "",
        key=given.get("key") or "",
        credential_id=given.get("application_credential_id") or "",
        credential_secret=given.get("application_credential_secret") or "",
        domains=frozenset(_domains_of(given).items()),
    )
    _require_whole(made, prefix, where)
    return made


def _domains_of(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return the domains by id or by name; where neither is said, Keystone's default one."""
    found: dict[str, str] = {}
    for kind in ("project_domain", "user_domain"):
        said = {name: given.get(name) or "" for name in (f"{kind}_id", f"{kind}_name")}
        chosen = {name: value for name, value in said.items() if value}
        found |= chosen or {f"{kind}_id": _DEFAULT_DOMAIN}
    return found


def _require_whole(made: Reference, prefix: str, where: str) -> None:
    credential = (made.credential_id, made.credential_secret)
    if any(credential):
        if not all(credential):
            raise ConfigError(
                f"{prefix}application_credential_id and {prefix}application_credential_secret"
                f"{where} belong together"
            )
        if made.auth_version != KEYSTONE:
            raise ConfigError(f"application credentials{where} need {prefix}auth_version = 3")
        return
    if not made.project or not made.name or not made.key:
        raise ConfigError(
            f"{prefix}user (project:user) and {prefix}key{where} are needed to log in, or an "
            "application credential"
        )
    if not made.can_be_sent:
        raise ConfigError(
            f"{prefix}user and {prefix}key{where} are headers with v1 auth: they can begin with "
            "no space and have no line break"
        )

# SPDX-License-Identifier: Apache-2.0
"""Which files an operator's rules are in, and access and protections made of them.

What is in the files is the business of policy and protections.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from glancekit.core.errors import ConfigError, translating
from glancekit.services import protections
from glancekit.services.access import Access, OperatorRules
from glancekit.services.protections import Protections
from glancekit.services.reloading import SECONDS, Reloaded

POLICY_FILE = "policy.yaml"
"""Read without being named, if it lies beside a configuration file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFiles:
    """What the configuration says. Relative paths are looked for in ``folders``, in their order.

    ``policy_file`` None is the usual one, which need not be there. Files are looked at again after
    so many ``seconds``.
    """

    folders: Sequence[Path] = ()
    policy_file: str | None = None
    policy_dirs: Sequence[str] = ()
    property_protection_file: str | None = None
    property_protection_rule_format: str = "roles"
    seconds: float = SECONDS


def read(files: RuleFiles) -> tuple[Access, Protections]:
    """Read what there is; both go on reading when it changes.

    :raises ConfigError: when a file that was named is not there, or one cannot be used.
    """
    protected = _protected(files)
    access = Access(_policy(files, protected).get)
    if protected is None:
        return access, Protections(access=access)
    protections.check_policies(protected.get(), access)
    return access, Protections(protected.get, access)


def policy_files(files: RuleFiles) -> list[Path]:
    """Return the policy files that are there now, those that count more last.

    :raises ConfigError: when a folder cannot be looked into.
    """
    with translating({OSError: ConfigError}):
        main = existing(files.folders, files.policy_file or POLICY_FILE)
        found = [main] if main else []
        for folder in files.policy_dirs:
            for place in _places(files.folders, folder):
                found += _visible_files(place) if place.is_dir() else []
    return found


def _visible_files(folder: Path) -> list[Path]:
    shown = (file for file in folder.iterdir() if not file.name.startswith("."))
    return sorted(file for file in shown if file.is_file())


def _policy(
    files: RuleFiles, protected: Reloaded[protections.Rules] | None
) -> Reloaded[OperatorRules | None]:
    if files.policy_file is not None:
        required(files.folders, files.policy_file, "[oslo_policy] policy_file")

    def load(found: Sequence[Path]) -> OperatorRules | None:
        if not found:
            return None
        from glancekit.services import policy

        rules = policy.load(found)
        used = [] if protected is None else [name for name, _ in protected.get().policies()]
        rules.warn_about_unknown(used=used)
        return rules

    return Reloaded(lambda: policy_files(files), load, seconds=files.seconds)


def _protected(files: RuleFiles) -> Reloaded[protections.Rules] | None:
    name = files.property_protection_file
    if name is None:
        return None
    file = required(files.folders, name, "[DEFAULT] property_protection_file")
    by_policies = files.property_protection_rule_format == "policies"
    return Reloaded(
        lambda: [file] if file.is_file() else [],
        lambda found: protections.load(found, by_policies=by_policies),
        seconds=files.seconds,
    )


def required(folders: Sequence[Path], name: str, option: str) -> Path:
    """Return the file that an option names.

    :raises ConfigError: when it is not there.
    """
    file = existing(folders, name)
    if file is None:
        places = ", ".join(str(place) for place in _places(folders, name))
        raise ConfigError(f"{option} = {name}: there is no such file ({places}); create it")
    return file


def existing(folders: Sequence[Path], name: str) -> Path | None:
    """Return the first file of a name that there is in the folders."""
    return next((file for file in _places(folders, name) if file.is_file()), None)


def _places(folders: Sequence[Path], name: str) -> Iterable[Path]:
    """Return where a path may lead: an absolute one there, another into each of the folders."""
    path = Path(name).expanduser()
    if path.is_absolute():
        return [path]
    return dict.fromkeys(folder.absolute() / path for folder in folders)

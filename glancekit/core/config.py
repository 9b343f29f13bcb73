# SPDX-License-Identifier: Apache-2.0
"""What the operator decided: read from files, environment and command line, checked, explained.

An environment variable ``OS_<SECTION>__<OPTION>`` counts more than the files, for containers.
Which options there are is said in options.py and by the drivers. What follows from a value is
its reader's business.
"""

from __future__ import annotations

import difflib
import os
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from oslo_config import cfg

from glancekit.core.errors import ConfigError
from glancekit.core.options import DEFAULT, service_options
from glancekit.core.options.stores import store_options
from glancekit.core.upstream_config import Place, Taken, section_name, translate

FILES_FROM = "GLANCEKIT_CONFIG_FILE"
"""Environment variable that names the files (``:`` between them) where no command line does."""

_STORE_ID = re.compile(r"[A-Za-z0-9_.-]+")

_DETAIL = re.compile(r"detail='(.*?)'\)")
"""Where oslo.config's message names the file or variable; its error has no attribute for that."""

_ORIGINS = {
    "opt_default": "default",
    "set_default": "default",
    "set_override": "command line",
    "command_line": "command line",
    "environment": "environment",
}


@dataclass(frozen=True, slots=True)
class StoreEntry:
    """One pair of ``enabled_backends``."""

    id: str
    driver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One option with its value, as ``config show`` prints it."""

    section: str
    option: cfg.Opt
    value: Any
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamOption:
    """An option of upstream's in the files: the options of ours that it sets, or why none."""

    section: str
    option: str
    sets: tuple[Place, ...] = ()
    reason: str = ""


class Configuration:
    """All sections and their options. A section's options are known once they are registered."""

    def __init__(
        self,
        files: Sequence[Path],
        *,
        overrides: Mapping[tuple[str, str], Any] | None = None,
        sections: Mapping[str, Sequence[cfg.Opt]] | None = None,
    ) -> None:
        """Read the files, later ones over earlier ones, and check what is always there.

        :param overrides: values by section and option that count more than any file.
        :param sections: further sections that are always there, with their options.
        :raises ConfigError: when a file cannot be read, or a value makes no sense.
        """
        self.files = tuple(files)
        self._overrides = dict(overrides or {})
        self._conf = cfg.ConfigOpts()
        self._options: dict[str, dict[str, cfg.Opt]] = {}
        self._lock = threading.Lock()
        self._read()
        self._parsed = _parse(self.files)
        self._upstream = translate(self._parsed)
        for section, options in {**service_options(), **(sections or {})}.items():
            self.register(section, options)
        self.stores = self._stores()

    # -- what readers use

    def register(
        self, section: str, options: Iterable[cfg.Opt], *, names: Mapping[str, str] | None = None
    ) -> None:
        """Make a section's options known and check their values. May be called from any thread.

        :param names: further words that the section's values may use, as ``$word``.
        :raises ConfigError: when a value makes no sense, or a required one is missing.
        """
        options = list(options)
        with self._lock:
            self._register(section, [cfg.StrOpt(word) for word in names or {}], hidden=True)
            for word, text in (names or {}).items():
                self._conf.set_override(word, text, group=_group(section))
            self._register(section, options)
            for option in options:
                self._take_over(section, option)
                self._override(section, option)
                self._check(section, option)

    def section(self, name: str) -> SimpleNamespace:
        """Return a section's values as plain attributes."""
        with self._lock:
            options = self._options.get(name, {})
            return SimpleNamespace(**{key: self._value(name, opt) for key, opt in options.items()})

    def get(self, section: str, option: str) -> Any:
        """Return one value."""
        with self._lock:
            return self._value(section, self._options[section][option])

    @property
    def as_environment(self) -> dict[str, str]:
        """Return what counts more than the files as variables, for another process to read."""
        return {
            f"OS_{section.upper()}__{option.upper()}": _as_text(value)
            for (section, option), value in self._overrides.items()
        }

    @property
    def data_dir(self) -> Path:
        """Return the folder for all that the service keeps."""
        return Path(self.get(DEFAULT, "data_dir"))

    @property
    def default_store(self) -> str:
        """Return the id of the store that takes images when the request names none.

        :raises ConfigError: when the configuration does not say which that is.
        """
        chosen = self.get("glance_store", "default_backend")
        ids = [store.id for store in self.stores]
        if chosen is None and len(ids) == 1:
            return ids[0]
        if chosen in ids:
            return str(chosen)
        problem = "is not set" if chosen is None else f"= {chosen} is no store"
        raise ConfigError(
            f"[glance_store] default_backend {problem}; set it to one of: {', '.join(ids)}",
            section="glance_store",
            option="default_backend",
            value=chosen,
        )

    def register_store(
        self, store: str, options: Iterable[cfg.Opt], *, shared: Iterable[str] = ()
    ) -> SimpleNamespace:
        """Make the options of a store's section known and return their values.

        :param shared: sections of the service whose values go with them, as attributes.
        """
        self.register(store, [*store_options(), *options], names={"store_id": store})
        values = self.section(store)
        vars(values).update({section: self.section(section) for section in shared})
        return values

    # -- what explains it

    def settings(self) -> list[Setting]:
        """Return every known option with its value and where that came from."""
        return [
            Setting(
                section=section,
                option=option,
                value=self._value(section, option),
                origin=self._origin(section, option),
            )
            for section, options in self._options.items()
            for option in options.values()
        ]

    def unknown(self, *, unread: Iterable[str] = ()) -> list[str]:
        """Return a sentence for each section and option of the files that nobody reads.

        :param unread: sections whose options are not known, because their driver is not.
        """
        sections = {section.lower(): section for section in self._options}
        skipped = {section.lower() for section in unread}
        found = []
        for section, options in self._parsed.items():
            if section.lower() in skipped:
                continue
            names = {name.replace("-", "_") for name in options}
            names = {name for name in names if not self._is_upstreams(section, name)}
            if section.lower() not in sections:
                if names or not options:
                    near = _similar(section, self._options)
                    found.append(f"section [{section}] is not known{near}")
                continue
            known = self._options[sections[section.lower()]]
            found += [
                f"[{section}] {name} is not known{_similar(name, known)}"
                for name in sorted(names - set(known))
            ]
        return found

    def upstream(self, *, unread: Iterable[str] = ()) -> list[UpstreamOption]:
        """Return what became of each option of upstream's that is none of ours.

        :param unread: sections whose options are not known, because their driver is not.
        """
        known = {
            (section_name(section), name)
            for section, options in self._options.items()
            for name in options
        }
        skipped = {section_name(section) for section in unread}
        found = []
        for place, fate in self._upstream.fates.items():
            if place in known:
                continue
            sets = tuple(
                target for target in fate.targets if target in known or target[0] in skipped
            )
            where = ", ".join(dict.fromkeys(f"[{section}]" for section, _ in fate.targets))
            reason = fate.reason or f"{where or 'no store'} has no such option here"
            found.append(
                UpstreamOption(
                    section=place[0], option=place[1], sets=sets, reason="" if sets else reason
                )
            )
        return found

    # -- how

    def _read(self) -> None:
        try:
            self._conf(
                args=[],
                project="glancekit",
                prog="glancekit",
                default_config_files=[str(file) for file in self.files],
                default_config_dirs=[],
            )
        except UnicodeDecodeError as error:
            files = ", ".join(map(str, self.files))
            raise ConfigError(f"{files}: not UTF-8 ({error}); mend the file") from error
        except (cfg.Error, OSError) as error:
            raise ConfigError(f"{error}; mend the file or name another") from error

    def _register(self, section: str, options: list[cfg.Opt], *, hidden: bool = False) -> None:
        known = self._options.setdefault(section, {})
        for option in options:
            try:
                self._conf.register_opt(option, group=_group(section))
            except cfg.DuplicateOptError as error:
                raise ConfigError(
                    f"option '{option.name}' of section [{section}] is declared twice, by the "
                    "service and by the section's driver; the driver must name it differently",
                    section=section,
                    option=option.name,
                ) from error
            if not hidden:
                known[option.dest] = option

    def _taken(self, section: str, option: cfg.Opt) -> Taken | None:
        """Return what upstream's options say of one of ours."""
        return self._upstream.values.get((section_name(section), option.dest))

    def _is_upstreams(self, section: str, name: str) -> bool:
        return (section_name(section), name) in self._upstream.fates

    def _take_over(self, section: str, option: cfg.Opt) -> None:
        """Let upstream's option count where ours is not given."""
        taken = self._taken(section, option)
        if taken is None:
            return
        value: Any = list(taken.values) if option.multi else taken.values[-1]
        try:
            self._conf.set_default(option.dest, value, group=_group(section))
        except ValueError as error:
            origin = f"upstream's [{taken.source[0]}] {taken.source[1]}"
            raise _bad_value(section, option, value, str(error), origin) from error

    def _override(self, section: str, option: cfg.Opt) -> None:
        key = (section, option.dest)
        if key not in self._overrides:
            return
        value = self._overrides[key]
        try:
            self._conf.set_override(option.dest, value, group=_group(section))
        except ValueError as error:
            raise _bad_value(section, option, value, str(error), "the command line") from error

    def _check(self, section: str, option: cfg.Opt) -> None:
        try:
            value = self._value(section, option)
        except (ValueError, cfg.Error) as error:
            reason = str(error).rpartition(" is not valid: ")[2]
            where = _DETAIL.search(str(error))
            origin = where[1] if where else "its default"
            written = self._written(section, option)
            raise _bad_value(section, option, written, reason, origin) from error
        if option.required and value is None:
            raise ConfigError(
                f"[{section}] {option.name} is missing: set it in the configuration file "
                f"({option.help or 'it has no default'})",
                section=section,
                option=option.name,
            )

    def _value(self, section: str, option: cfg.Opt) -> Any:
        group = _group(section)
        return (self._conf if group is None else self._conf[group])[option.dest]

    def _origin(self, section: str, option: cfg.Opt) -> str:
        where = self._conf.get_location(option.dest, group=_group(section))
        if where is None:
            return "default"
        taken = self._taken(section, option)
        if taken is not None and where.location.name == "set_default":
            return f"upstream's [{taken.source[0]}] {taken.source[1]}"
        return str(_ORIGINS.get(where.location.name, where.detail))

    def _written(self, section: str, option: cfg.Opt) -> str | None:
        """Return a value as it was written; None where it did not come from a file."""
        for name, options in self._parsed.items():
            if name.lower() == section.lower():
                for key, values in options.items():
                    if key.replace("-", "_") == option.dest:
                        return values[-1]
        return os.environ.get(f"OS_{section.upper()}__{option.dest.upper()}")

    def _stores(self) -> tuple[StoreEntry, ...]:
        pairs = self.get(DEFAULT, "enabled_backends")
        seen: set[str] = {name.lower() for name in self._options}
        for store in pairs:
            problem = _problem_with_id(store, seen)
            if problem:
                raise ConfigError(
                    f"[DEFAULT] enabled_backends: '{store}' cannot be a store's id: {problem}",
                    section=DEFAULT,
                    option="enabled_backends",
                    value=store,
                )
            seen.add(store.lower())
        if not pairs:
            raise ConfigError(
                "[DEFAULT] enabled_backends names no store; write for example "
                "'enabled_backends = local:file'",
                section=DEFAULT,
                option="enabled_backends",
            )
        return tuple(StoreEntry(id, driver) for id, driver in pairs.items())


def _as_text(value: Any) -> str:
    """Return a value as a file would have it."""
    if isinstance(value, Mapping):
        return ",".join(f"{name}:{part}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ",".join(str(part) for part in value)
    return str(value)


def find_files(named: Sequence[str] = ()) -> tuple[Path, ...]:
    """Return the files to read: those named, or the environment's, or the first usual one.

    :raises ConfigError: when a named file is not there.
    """
    chosen = list(named) or [name for name in os.environ.get(FILES_FROM, "").split(":") if name]
    if chosen:
        files = tuple(Path(name).expanduser() for name in chosen)
        for file in files:
            if not file.is_file():
                raise ConfigError(
                    f"there is no configuration file {file}; create it or name another"
                )
        return files
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    usual = (Path("/etc/glancekit/glancekit.conf"), home / "glancekit" / "glancekit.conf")
    return next(((file,) for file in usual if file.is_file()), ())


def _parse(files: Iterable[Path]) -> dict[str, dict[str, list[str]]]:
    """Return what files that can be read say, option by option."""
    sections: dict[str, dict[str, list[str]]] = {}
    for file in files:
        cfg.ConfigParser(str(file), sections).parse()
    return sections


def _group(section: str) -> str | None:
    return None if section == DEFAULT else section


def _problem_with_id(store: str, taken: set[str]) -> str:
    if not _STORE_ID.fullmatch(store):
        return "use letters, digits, '_', '.' and '-' only"
    if store.startswith("os_glance_"):
        return "names that begin with os_glance_ belong to the service"
    if store.lower() in taken:
        return "there is a section of that name already (upper and lower case count as the same)"
    return ""


def _bad_value(
    section: str, option: cfg.Opt, value: object, reason: str, origin: str
) -> ConfigError:
    shown, reason = ("***", "it is malformed") if option.secret else (value, reason)
    default = "" if option.default is None else f" (default: {option.default})"
    return ConfigError(
        f"[{section}] {option.name} = {shown} cannot be used: {reason} (from {origin}). "
        f"Write {_wanted(option)}, or leave it out{default}",
        section=section,
        option=option.name,
        value=shown,
    )


def _wanted(option: cfg.Opt) -> str:
    """Say in words what an option takes."""
    kind = option.type
    choices = getattr(kind, "choices", None)
    if choices:
        return f"one of: {', '.join(str(choice) for choice in choices)}"
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    name = str(kind.type_name).removesuffix(" value")
    words = [f"a value of the kind '{name}'"]
    words += [f"at least {least}"] if least is not None else []
    words += [f"at most {most}"] if most is not None else []
    return ", ".join(words)


def _similar(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""

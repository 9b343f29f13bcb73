# SPDX-License-Identifier: Apache-2.0
"""An operator's ``glance-api.conf``: what upstream's options become here, or why they do nothing.

Options that have upstream's name and section here need no row; whatever a row says, an option that
is really there counts. Values are checked where all are, in config.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

Place = tuple[str, str]
"""Section and option."""

Parsed = Mapping[str, Mapping[str, Sequence[str]]]
"""What files say, option by option; later values count more."""

STORE = "<id of a store>"
"""Stands for the section of any store in the tables below."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What an option of ours has from an option of upstream's: several values for some kinds."""

    values: tuple[str, ...]
    source: Place


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one of upstream's options that is in the files.

    ``targets`` are the options of ours that it sets; where it sets none, ``reason`` says why.
    """

    source: Place
    targets: tuple[Place, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Translation:
    """Everything that upstream's options in the files mean here."""

    values: Mapping[Place, Taken]
    fates: Mapping[Place, Fate]


@dataclass(frozen=True, slots=True)
class Becomes:
    """The option of ours that one of upstream's is; ``convert`` returns None for "leave it"."""

    section: str
    option: str
    convert: Callable[[str], str | None] = str
    otherwise: str = "this value means nothing here"


# -- values that are written differently -------------------------------------------------------


def _positive(text: str) -> str | None:
    """Upstream writes "as ever" as 0 or None, in several places."""
    return None if text.strip().lower() in ("0", "none", "") else text


def _keep_alive(text: str) -> str | None:
    return "0" if text.strip().lower() in ("false", "no", "off", "0") else None


def _path_of(text: str) -> str | None:
    """Upstream writes the folder as a URL."""
    url = urlsplit(text.strip())
    return url.path if url.scheme in ("file", "") and url.path else None


def _log_format(text: str) -> str | None:
    return "json" if text.strip().lower() in ("true", "yes", "on", "1") else None


# -- the tables --------------------------------------------------------------------------------

_FOR_THE_DEFAULT = "this is what happens by default"

_BUS = "oslo_messaging_notifications"

BECOMES: Mapping[Place, Becomes] = MappingProxyType(
    {
        ("DEFAULT", "bind_host"): Becomes("server", "host"),
        ("DEFAULT", "bind_port"): Becomes("server", "port"),
        ("DEFAULT", "workers"): Becomes("server", "workers", _positive, _FOR_THE_DEFAULT),
        ("DEFAULT", "cert_file"): Becomes("server", "certfile", _positive, _FOR_THE_DEFAULT),
        ("DEFAULT", "key_file"): Becomes("server", "keyfile", _positive, _FOR_THE_DEFAULT),
        ("DEFAULT", "max_header_line"): Becomes("server", "limit_request_field_size"),
        ("DEFAULT", "http_keepalive"): Becomes(
            "server", "keep_alive", _keep_alive, _FOR_THE_DEFAULT
        ),
        ("DEFAULT", "client_socket_timeout"): Becomes(
            "server", "idle_timeout", _positive, "a transfer in which nothing moves always ends"
        ),
        ("DEFAULT", "node_staging_uri"): Becomes(
            "os_glance_staging_store",
            "filesystem_store_datadir",
            _path_of,
            "staging is a folder of this host: a path, or file:// with a path",
        ),
        ("taskflow_executor", "max_workers"): Becomes("taskflow", "max_workers"),
        ("DEFAULT", "use_json"): Becomes("DEFAULT", "log_format", _log_format, _FOR_THE_DEFAULT),
        ("DEFAULT", "default_publisher_id"): Becomes(_BUS, "default_publisher_id"),
        ("DEFAULT", "disabled_notifications"): Becomes(_BUS, "disabled_notifications"),
        ("DEFAULT", "transport_url"): Becomes(_BUS, "transport_url"),
        ("DEFAULT", "control_exchange"): Becomes(_BUS, "control_exchange"),
        ("oslo_messaging_rabbit", "amqp_durable_queues"): Becomes(_BUS, "amqp_durable_queues"),
        ("oslo_messaging_rabbit", "rabbit_quorum_queue"): Becomes(_BUS, "rabbit_quorum_queue"),
        ("oslo_messaging_rabbit", "ssl"): Becomes(_BUS, "ssl"),
        ("oslo_messaging_rabbit", "ssl_ca_file"): Becomes(_BUS, "ssl_ca_file"),
        (STORE, "filesystem_store_timeout"): Becomes(
            STORE, "timeout", _positive, "a store always has a time-out here: see its 'timeout'"
        ),
    }
)
"""Options that are options of ours under another name."""

KEYSTONE_NAMES: Mapping[str, str] = MappingProxyType(
    {"auth_uri": "www_authenticate_uri", "identity_uri": "auth_url", "auth_plugin": "auth_type"}
)
"""Old names in ``[keystone_authtoken]``. All others are the same in ``[auth]``."""

_SAME_USER = (
    *("auth_url", "username", "password", "project_name", "user_domain_name", "user_domain_id"),
    *("project_domain_name", "project_domain_id"),
    *("application_credential_id", "application_credential_secret"),
)
GLANCE_DOWNLOAD_NAMES: Mapping[str, str] = MappingProxyType(
    {
        **{name: name for name in _SAME_USER},
        "cafile": "https_ca_certificates_file",
        "insecure": "https_insecure",
    }
)
"""What of ``[keystone_authtoken]`` finds other regions' image services, too. Upstream asks the
catalog in the caller's token."""

_CACHE = "the cache keeps what it knows beside its files: there is one kind only"
_EVENTS = "glancekit-oslo-notifications has no such option"
_SCRUB = "the scrubber is a periodic task: see scrub_rate, and 'glancekit image restore'"
_LOGS = "lines go to the standard error stream or to log_file, for a collector to take"
_SERVER = "the server inside has its own: see [server]"
_TOKENS = "tokens are remembered in the process: see [auth] token_cache_time and token_cache_size"
_SERVERS = ("postgresql", "mysql")
_POOL = "the metadata driver looks after its connections itself"
_REMOVED = "upstream removed it, and there is nothing like it here"
_RIGHTS = "rights are always upstream's new defaults, with policy_file over them"
_KEYS = "see [key_manager], which has the addresses of Barbican and Vault and who logs in there"
_REGISTRY = "a registry of one's own is a metadata driver here: see [metadata] driver"
_STAGING = "of the place for data on their way in, the folder is all there is to choose"
_MEMORY = "what may have to be sent again is kept in memory, not on disk"
_FILES = "reads, writes and look-ups all have the store's 'timeout'"

IGNORED: Mapping[Place, str] = MappingProxyType(
    {
        ("DEFAULT", "backlog"): _SERVER,
        ("DEFAULT", "tcp_keepidle"): _SERVER,
        ("DEFAULT", "ca_file"): "callers show no certificates; let a proxy check them",
        ("DEFAULT", "allow_anonymous_access"): "callers without an identity are not let in",
        ("DEFAULT", "http_retries"): "the http store goes on by itself: see its http_read_retries",
        ("DEFAULT", "digest_algorithm"): _REMOVED,
        ("DEFAULT", "metadata_encryption_key"): "locations are kept as they are; protect the "
        "database itself. 'glancekit adopt' reads what was encrypted with it",
        ("DEFAULT", "image_cache_driver"): _CACHE,
        ("DEFAULT", "image_cache_sqlite_db"): _CACHE,
        ("DEFAULT", "rpc_response_timeout"): _EVENTS,
        ("DEFAULT", "executor_thread_pool_size"): _EVENTS,
        ("DEFAULT", "notification_driver"): _EVENTS,
        ("DEFAULT", "scrub_pool_size"): _SCRUB,
        ("DEFAULT", "daemon"): _SCRUB,
        ("DEFAULT", "restore"): _SCRUB,
        ("DEFAULT", "verbose"): "use debug",
        ("DEFAULT", "use_syslog"): _LOGS,
        ("DEFAULT", "syslog_log_facility"): _LOGS,
        ("DEFAULT", "use_journal"): _LOGS,
        ("DEFAULT", "use_eventlog"): _LOGS,
        ("DEFAULT", "use_stderr"): _LOGS,
        ("DEFAULT", "watch_log_file"): _LOGS,
        ("DEFAULT", "log_rotation_type"): _LOGS,
        ("DEFAULT", "log_rotate_interval"): _LOGS,
        ("DEFAULT", "log_rotate_interval_type"): _LOGS,
        ("DEFAULT", "max_logfile_count"): _LOGS,
        ("DEFAULT", "max_logfile_size_mb"): _LOGS,
        ("DEFAULT", "log_config_append"): "see debug, log_file and log_format",
        ("DEFAULT", "log_date_format"): "see log_format",
        ("DEFAULT", "log_color"): "see log_format",
        ("DEFAULT", "logging_context_format_string"): "see log_format",
        ("DEFAULT", "logging_default_format_string"): "see log_format",
        ("DEFAULT", "logging_debug_format_suffix"): "see log_format",
        ("DEFAULT", "logging_exception_prefix"): "see log_format",
        ("DEFAULT", "logging_user_identity_format"): "see log_format",
        ("DEFAULT", "default_log_levels"): "see debug",
        ("DEFAULT", "rate_limit_interval"): "lines are not held back",
        ("DEFAULT", "rate_limit_burst"): "lines are not held back",
        ("DEFAULT", "rate_limit_except_level"): "lines are not held back",
        ("DEFAULT", "instance_format"): "there are no instances here",
        ("DEFAULT", "instance_uuid_format"): "there are no instances here",
        ("DEFAULT", "publish_errors"): _EVENTS,
        ("DEFAULT", "fatal_deprecations"): "for upstream's own developers",
        ("DEFAULT", "location_strategy"): "the heaviest store is read first: see 'weight'",
        ("DEFAULT", "allow_additional_image_properties"): _REMOVED,
        ("DEFAULT", "enable_v1_api"): _REMOVED,
        ("DEFAULT", "enable_v2_api"): "version 2 is the one there is",
        ("DEFAULT", "enable_v1_registry"): _REGISTRY,
        ("DEFAULT", "enable_v2_registry"): _REGISTRY,
        ("DEFAULT", "data_api"): _REGISTRY,
        ("DEFAULT", "registry_host"): _REGISTRY,
        ("DEFAULT", "registry_port"): _REGISTRY,
        ("DEFAULT", "use_user_token"): _REGISTRY,
        ("DEFAULT", "enforce_secure_rbac"): _RIGHTS,
        ("DEFAULT", "owner_is_tenant"): _REMOVED,
        ("DEFAULT", "admin_role"): "see policy_file: the rule is context_is_admin",
        ("DEFAULT", "send_identity_headers"): _REGISTRY,
        ("DEFAULT", "pydev_worker_debug_host"): "for upstream's own developers",
        ("DEFAULT", "pydev_worker_debug_port"): "for upstream's own developers",
        ("oslo_policy", "enforce_new_defaults"): _RIGHTS,
        ("oslo_policy", "enforce_scope"): _RIGHTS,
        ("oslo_policy", "policy_default_rule"): _RIGHTS,
        ("oslo_policy", "remote_content_type"): "rules are decided here",
        ("oslo_policy", "remote_ssl_verify_server_crt"): "rules are decided here",
        ("oslo_policy", "remote_ssl_ca_crt_file"): "rules are decided here",
        ("oslo_policy", "remote_ssl_client_crt_file"): "rules are decided here",
        ("oslo_policy", "remote_ssl_client_key_file"): "rules are decided here",
        ("oslo_policy", "remote_timeout"): "rules are decided here",
        ("oslo_middleware", "secure_proxy_ssl_header"): "see enable_proxy_headers_parsing",
        ("paste_deploy", "config_file"): "there is no pipeline to assemble",
        ("keystone_authtoken", "memcached_servers"): _TOKENS,
        ("keystone_authtoken", "memcache_security_strategy"): _TOKENS,
        ("keystone_authtoken", "memcache_secret_key"): _TOKENS,
        ("keystone_authtoken", "memcache_pool_dead_retry"): _TOKENS,
        ("keystone_authtoken", "memcache_pool_maxsize"): _TOKENS,
        ("keystone_authtoken", "memcache_pool_socket_timeout"): _TOKENS,
        ("keystone_authtoken", "memcache_pool_unused_timeout"): _TOKENS,
        ("keystone_authtoken", "memcache_pool_conn_get_timeout"): _TOKENS,
        ("keystone_authtoken", "memcache_use_advanced_pool"): _TOKENS,
        ("keystone_authtoken", "cache"): _TOKENS,
        ("keystone_authtoken", "auth_version"): "version 3 is the one there is",
        ("keystone_authtoken", "auth_section"): "the section that it names is read as if it "
        "were this one",
        ("keystone_authtoken", "delay_auth_decision"): _FOR_THE_DEFAULT,
        ("keystone_authtoken", "include_service_catalog"): "nobody reads the caller's catalog",
        ("keystone_authtoken", "enforce_token_bind"): _REMOVED,
        ("keystone_authtoken", "hash_algorithms"): _REMOVED,
        ("keystone_authtoken", "signing_dir"): _REMOVED,
        ("os_glance_staging_store", "filesystem_store_datadirs"): _STAGING,
        ("os_glance_staging_store", "filesystem_store_chunk_size"): _STAGING,
        ("os_glance_staging_store", "filesystem_store_file_perm"): _STAGING,
        ("os_glance_staging_store", "filesystem_store_metadata_file"): _STAGING,
        ("os_glance_staging_store", "filesystem_thin_provisioning"): _STAGING,
        ("task", "task_executor"): "imports are always flows of taskflow",
        ("task", "work_dir"): "imports work in staging: see [os_glance_staging_store]",
        ("taskflow_executor", "engine_mode"): "steps that can run at a time do",
        ("taskflow_executor", "conversion_format"): "see [image_conversion] output_format",
        (STORE, "filesystem_store_metadata_file"): "readers of the files elsewhere are not told "
        "where they are mounted",
        (STORE, "filesystem_store_thread_pool_size"): _FILES,
        (STORE, "filesystem_store_threadpool_threshold"): _FILES,
        (STORE, "swift_buffer_on_upload"): _MEMORY,
        (STORE, "swift_upload_buffer_dir"): _MEMORY,
        (STORE, "swift_store_ssl_compression"): "TLS is never compressed",
    }
)
"""Options that have no counterpart, and why."""

IGNORED_SECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "barbican": _KEYS,
        "barbican_service_user": _KEYS,
        "database": _POOL,
        "glance_download_properties": "read where enabled_import_methods has glance-download",
        "healthcheck": "/healthcheck always tells what it finds",
        "image_conversion": "read where image_import_plugins has image_conversion",
        "inject_metadata_properties": "read where image_import_plugins has inject_image_metadata",
        "key_manager": "read where image_import_plugins has image_signature",
        "os_glance_tasks_store": "tasks keep nothing in files",
        "oslo_concurrency": "processes share the database's locks and those in data_dir",
        "oslo_limit": "read with use_keystone_limits only, where there is such an option",
        "oslo_messaging_amqp": _EVENTS,
        "oslo_messaging_kafka": _EVENTS,
        "oslo_messaging_metrics": _EVENTS,
        "oslo_messaging_notifications": "read by the package glancekit-oslo-notifications",
        "oslo_messaging_rabbit": _EVENTS,
        "oslo_reports": "signals do not make reports",
        "oslo_versionedobjects": "for upstream's own developers",
        "profiler": "requests are not profiled",
        "service_user": "the service has no errands that need one",
        "store_type_location_strategy": "the heaviest store is read first: see 'weight'",
        "vault": _KEYS,
        "wsgi": _SERVER,
    }
)
"""Sections in which nothing is read; a dotted subsection (``cors.x``) shares its parent's fate."""

SCHEMES: Mapping[str, str] = MappingProxyType({
    "file": "file", "filesystem": "file", "http": "http", "https": "http", "rbd": "rbd",
    "swift": "swift", "s3": "s3", "cinder": "cinder", "vmware": "vmware", "vsphere": "vmware",
})  # fmt: skip
"""The driver that upstream's names of stores and schemes mean."""

_OURS_TOO = ("default_backend", "choose_by")
"""Options of ``[glance_store]`` that say nothing about the old form."""


def translate(parsed: Parsed) -> Translation:
    """Return what upstream's options in some files mean here."""
    return _Translator(parsed).run()


class _Translator:
    """One pass over the files."""

    def __init__(self, parsed: Parsed) -> None:
        self._sections: dict[str, dict[str, str]] = {}
        self._several: dict[Place, tuple[str, ...]] = {}
        for section, options in parsed.items():
            named = self._sections.setdefault(section_name(section), {})
            for option, values in options.items():
                name = option.replace("-", "_")
                named[name] = values[-1]
                self._several[section_name(section), name] = tuple(values)
        self._values: dict[Place, Taken] = {}
        self._fates: dict[Place, Fate] = {}

    def run(self) -> Translation:
        self._metadata()
        self._auth()
        self._single_store()
        self._backend_defaults()
        for source, value in self._options():
            if source not in self._fates:
                self._look_up(source, value)
        return Translation(self._values, self._fates)

    # -- what takes more than one look

    def _metadata(self) -> None:
        url = self._get("database", "connection")
        if url is None:
            return
        source = ("database", "connection")
        driver, option, value = _metadata_of(url.strip())
        if not value:
            self._ignore(source, "a database in memory would be gone with its process")
            return
        targets = {("metadata", "driver"): driver, ("metadata", option): value}
        self._take(source, targets)
        if driver in _SERVERS:
            self._pool()

    def _pool(self) -> None:
        """Take how many connections a database server may see; upstream's "no limit" is none."""
        for name in ("max_pool_size", "max_overflow", "pool_timeout", "connection_recycle_time"):
            value = (self._get("database", name) or "").strip()
            if value.isdigit() and int(value) > 0:
                self._take(("database", name), {("metadata", name): value})

    def _auth(self) -> None:
        """Who configured Keystone is never served without it, whatever the flavor is."""
        flavor = self._get("paste_deploy", "flavor") or ""
        section = "keystone_authtoken"
        keystone = {**self._sections.get(section, {})}
        aside = self._get(section, "auth_section")
        sources = dict.fromkeys(keystone, section)
        if aside and aside != section:
            for name, value in self._sections.get(section_name(aside), {}).items():
                keystone[name], sources[name] = value, section_name(aside)
        if "keystone" in flavor:
            self._take(("paste_deploy", "flavor"), {("auth", "driver"): "keystone"})
        elif flavor:
            self._ignore(("paste_deploy", "flavor"), "see [auth] driver")
        methods = _items(self._get("DEFAULT", "enabled_import_methods") or "")
        for name, value in keystone.items():
            source = (sources[name], name)
            if (section, name) not in IGNORED:
                ours = KEYSTONE_NAMES.get(name, name)
                targets = {("auth", ours): value}
                if "glance-download" in methods and ours in GLANCE_DOWNLOAD_NAMES:
                    targets["glance_download_properties", GLANCE_DOWNLOAD_NAMES[ours]] = value
                self._take(source, targets, weak=ours != name)
        if keystone and ("auth", "driver") not in self._values:
            self._values["auth", "driver"] = Taken(("keystone",), (section, "*"))

    def _single_store(self) -> None:
        """One store for each kind, all with their options in ``[glance_store]``."""
        section = "glance_store"
        given = {
            name: value
            for name, value in self._sections.get(section, {}).items()
            if name not in _OURS_TOO
        }
        if "enabled_backends" in self._sections.get("DEFAULT", {}):
            for name in given:
                self._ignore((section, name), "not read where there is enabled_backends")
            return
        if not given:
            return
        default = _driver_of(given.get("default_store", "file"))
        named = given.get("stores") or given.get("known_stores") or default
        stores = list(dict.fromkeys([default, *map(_driver_of, _items(named))]))
        backends = ", ".join(f"{store}:{store}" for store in stores)
        self._values["DEFAULT", "enabled_backends"] = Taken((backends,), (section, "stores"))
        for name, value in given.items():
            if name in ("stores", "known_stores"):
                self._take((section, name), {("DEFAULT", "enabled_backends"): backends})
            elif name == "default_store":
                self._take((section, name), {(section, "default_backend"): default})
            else:
                self._to_stores((section, name), value, stores)
        self._values.setdefault((section, "default_backend"), Taken((default,), (section, "*")))

    def _backend_defaults(self) -> None:
        for name, value in self._sections.get("backend_defaults", {}).items():
            stores = [
                store for store in self._stores() if name not in self._sections.get(store, {})
            ]
            self._to_stores(("backend_defaults", name), value, stores)

    def _to_stores(self, source: Place, value: str, stores: Sequence[str]) -> None:
        """Let an option count in the sections of several stores."""
        if (STORE, name := source[1]) in IGNORED:
            self._ignore(source, IGNORED[STORE, name])
            return
        row = BECOMES.get((STORE, name), Becomes(STORE, name))
        converted = row.convert(value)
        if converted is None:
            self._ignore(source, row.otherwise)
        else:
            self._take(source, {(store, row.option): converted for store in stores})

    # -- what is in the tables

    def _look_up(self, source: Place, value: str) -> None:
        section, option = source
        is_store = section in self._stores()
        key = (STORE, option) if is_store else source
        if key in BECOMES:
            row = BECOMES[key]
            converted = row.convert(value)
            target = (section if is_store else row.section, row.option)
            if converted is None:
                self._ignore(source, row.otherwise)
            else:
                self._take(source, {target: converted})
        elif key in IGNORED:
            self._ignore(source, IGNORED[key])
        else:
            reason = IGNORED_SECTIONS.get(section.partition(".")[0])
            if "." in section and section.partition(".")[0] == "cors":
                reason = "there is one section [cors]; its allowed_origin takes several"
            if reason and not is_store:
                self._ignore(source, reason)

    def _options(self) -> Iterator[tuple[Place, str]]:
        for section, options in self._sections.items():
            for option, value in options.items():
                yield (section, option), value

    def _get(self, section: str, option: str) -> str | None:
        return self._sections.get(section, {}).get(option)

    def _stores(self) -> list[str]:
        pairs = _items(self._get("DEFAULT", "enabled_backends") or "")
        return [section_name(pair.partition(":")[0].strip()) for pair in pairs]

    def _take(self, source: Place, targets: Mapping[Place, str], *, weak: bool = False) -> None:
        """Let an option set some of ours; a weak one only what nothing else sets."""
        self._fates[source] = Fate(source, tuple(targets))
        several = self._several.get(source, ())
        for target, value in targets.items():
            if not (weak and target in self._values):
                as_given = value in several
                self._values[target] = Taken(several if as_given else (value,), source)

    def _ignore(self, source: Place, reason: str) -> None:
        self._fates[source] = Fate(source, reason=reason)


def section_name(section: str) -> str:
    """Return a section's name in the form in which names are compared."""
    return section if section == "DEFAULT" else section.lower()


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.strip(" []").split(",") if item.strip()]


def _driver_of(name: str) -> str:
    """``swift+https``, ``glance.store.filesystem.Store`` and ``file`` are all in old files."""
    name = name.strip().lower().partition("+")[0]
    parts = name.split(".")
    return SCHEMES.get(parts[-2] if len(parts) > 1 else name, name)


def _metadata_of(url: str) -> tuple[str, str, str]:
    """Return driver, option and value that a database URL means."""
    kind = urlsplit(url).scheme.partition("+")[0]
    if kind == "sqlite":
        return "sqlite", "path", url.partition("///")[2].partition("?")[0]
    return {"postgres": "postgresql", "mariadb": "mysql"}.get(kind, kind), "connection", url

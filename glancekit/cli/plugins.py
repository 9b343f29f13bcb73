# SPDX-License-Identifier: Apache-2.0
"""``glancekit plugins``: what is installed, how it is, and what is wrong first.

How parts are tried out is the business of services/examination.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glancekit.cli import Invocation
from glancekit.cli.tables import Shape, format_option, show, show_one

if TYPE_CHECKING:
    from glancekit.bootstrap.parts import Parts
    from glancekit.core.config import Configuration
    from glancekit.core.drivers import PluginReport
    from glancekit.services.examination import Finding

_PLUGIN_COLUMNS = (
    *("group", "name", "state", "use", "distribution", "version", "api_level"),
    *("capabilities", "reason"),
)
_FINDING_COLUMNS = ("part", "step", "verdict", "seconds", "detail", "advice")

Command = Callable[..., Any]


def service_options(command: Command) -> Command:
    """Let a command ask a running service instead of looking at what is installed here."""
    for option in reversed(
        (
            click.option(
                "--url",
                metavar="URL",
                help="Ask the running service at this address, as an administrator; of its "
                "processes, the one answers that the request comes to.",
            ),
            click.option("--token", envvar="OS_TOKEN", help="Token to show to that service."),
        )
    ):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@format_option
@click.pass_context
def plugins(ctx: click.Context, shape: Shape) -> None:
    """Show what is installed and how it is; try out whether it works.

    Without a further word: as 'list'.
    """
    if ctx.invoked_subcommand is None:
        show(_PLUGIN_COLUMNS, [asdict(report) for report in _installed(ctx.obj)], shape)


@plugins.command("list")
@service_options
@format_option
@click.pass_obj
def list_(invocation: Invocation, url: str | None, token: str | None, shape: Shape) -> None:
    """Show every installed plugin: what it is for, whether it works, and if not why.

    Those that the configuration names are built as the service would build them; the others are
    imported, and built with the defaults of their options where these suffice. With --url: those
    that a running service uses, and what it has asked them.
    """
    if url is None:
        show(_PLUGIN_COLUMNS, [asdict(report) for report in _installed(invocation)], shape)
        return
    rows = [{**plugin, **_sums(plugin)} for plugin in _of_service(url, token)]
    show((*_PLUGIN_COLUMNS, "calls", "errors", "seconds"), rows, shape)


@plugins.command("show")
@click.argument("name")
@service_options
@format_option
@click.pass_context
def show_(ctx: click.Context, name: str, url: str | None, token: str | None, shape: Shape) -> None:
    """Show all that is known of the plugins called NAME; with --url also each of their calls."""
    if url is None:
        known = [asdict(report) for report in _installed(ctx.obj)]
    else:
        known = _of_service(url, token)
    found = [plugin for plugin in known if name in (plugin["name"], plugin["distribution"])]
    if not found:
        names = ", ".join(sorted({plugin["name"] for plugin in known}))
        raise click.ClickException(f"There is no plugin {name!r}; there are: {names}")
    for plugin in found:
        show_one(plugin, shape)


@plugins.command()
@click.argument("store", required=False)
@click.option(
    "--patience",
    type=click.FloatRange(min=0.1),
    default=30.0,
    show_default=True,
    help="Seconds for each step.",
)
@service_options
@format_option
@click.pass_context
def doctor(
    ctx: click.Context,
    store: str | None,
    patience: float,
    url: str | None,
    token: str | None,
    shape: Shape,
) -> None:
    """Try out every part that is configured, and say what is wrong first and what to do.

    The records, who is recognised, limits, what processes agree by, and each store (or the one
    named STORE) with an object that is written, read and deleted. Run it as the service's user.
    With --url a running service is asked what it knows instead. Exit code 1 when anything is
    wrong.
    """
    if url is not None:
        findings = list(_findings_of_service(url, token))
    else:
        findings = list(_findings(ctx.obj, store, patience))
    rows = [{**asdict(finding), "seconds": round(finding.seconds, 3)} for finding in findings]
    show(_FINDING_COLUMNS, rows, shape)
    first = next((finding for finding in findings if finding.verdict == "wrong"), None)
    if first is not None:
        click.echo(
            f"glancekit: {first.part}: {first.step}: {first.detail}. What to do: {first.advice}.",
            err=True,
        )
        ctx.exit(1)


def _installed(invocation: Invocation) -> list[PluginReport]:
    from glancekit.bootstrap.parts import load_parts
    from glancekit.core.survey import unused

    config = invocation.load_config()
    used = load_parts(config).plugins
    return [*used, *unused(config, used)]


# -- a running service


def _of_service(url: str, token: str | None) -> list[dict[str, Any]]:
    from glancekit.cli.image.endpoint import Target, ask, connect

    endpoint = connect(Target(url=url, token=token))
    found: list[dict[str, Any]] = ask(endpoint, "GET", "/info/plugins", "list plugins").json()[
        "plugins"
    ]
    return found


def _sums(plugin: Mapping[str, Any]) -> dict[str, Any]:
    tallies = list(plugin["calls"].values())
    return {
        "calls": sum(tally["calls"] for tally in tallies),
        "errors": sum(tally["errors"] for tally in tallies),
        "seconds": round(sum(tally["seconds"] for tally in tallies), 3),
    }


def _findings_of_service(url: str, token: str | None) -> Iterator[Finding]:
    """Yield how each part says that it is, what could not be loaded, and whose calls have failed
    since the start.
    """
    from glancekit.cli.stores import parts_of
    from glancekit.core.drivers import PluginReport, PluginState
    from glancekit.services.examination import Finding, Verdict
    from glancekit.services.examination import plugins as examine_plugins

    for name, part in parts_of(url).items():
        if name.startswith("plugin:"):
            continue  # more is known of it below
        yield Finding(
            part=name.replace("store:", "store ", 1),
            step="health",
            verdict=Verdict.OK if part["ok"] else Verdict.WRONG,
            detail=part.get("detail", ""),
            advice="" if part["ok"] else "run 'glancekit plugins doctor' on its host",
        )
    listed = _of_service(url, token)
    names = {field.name for field in fields(PluginReport)}
    for plugin in listed:
        if plugin["state"] != PluginState.OK:
            told = {name: value for name, value in plugin.items() if name in names}
            report = PluginReport(**{**told, "state": PluginState(plugin["state"])})
            yield from examine_plugins((report,))
    for plugin in listed:
        for operation, tally in plugin["calls"].items():
            wrong = tally["errors"] > 0
            detail = f"{tally['errors']} of {tally['calls']} calls failed"
            yield Finding(
                part=plugin["use"] if plugin["use"] != "hooks" else f"plugin {plugin['name']}",
                step=operation,
                verdict=Verdict.WRONG if wrong else Verdict.OK,
                detail=f"{detail}{_at_last(tally['last_error'])}" if wrong else "",
                advice=f"look for it in the log; it is {_whose(plugin)}" if wrong else "",
                seconds=tally["seconds"],
            )


def _at_last(error: str) -> str:
    """Say what it was; what another process saw is in the log alone."""
    return f", at last: {error}" if error else ""


def _whose(plugin: Mapping[str, Any]) -> str:
    return f"plugin {plugin['name']} of {plugin['distribution']} {plugin['version'] or ''}".strip()


# -- what is configured here


def _findings(invocation: Invocation, only: str | None, patience: float) -> Iterator[Finding]:
    from glancekit.bootstrap.parts import load_parts

    config = invocation.load_config()
    parts = load_parts(config)
    try:
        if only is None:
            yield from _findings_but_stores(config, parts, patience)
        yield from _findings_of_stores(config, parts, only, patience)
    finally:
        for loaded in (*parts.stores.values(), parts.limits, parts.auth, parts.metadata):
            if loaded.driver is not None:
                with suppress(Exception):  # it was examined; what is wrong with it has been said
                    loaded.driver.close()


def _findings_but_stores(
    config: Configuration, parts: Parts, patience: float
) -> Iterator[Finding]:
    from glancekit.bootstrap.parts import unread_sections
    from glancekit.bootstrap.settings import staging_of
    from glancekit.core.options import DEFAULT
    from glancekit.services import examination as examine

    for sentence in config.unknown(unread=unread_sections(parts)):
        yield examine.Finding(
            part="configuration",
            step="read",
            verdict=examine.Verdict.WRONG,
            detail=sentence,
            advice="mend the option's name, or take it out",
        )
    yield examine.folder("data_dir", config.data_dir)
    yield examine.folder("staging", staging_of(config))
    options = config.section(DEFAULT)
    if options.image_cache_dir:
        cache = Path(options.image_cache_dir)
        yield from examine.image_cache(cache, options.image_cache_free_reserve)
    yield from examine.plugins(parts.plugins)
    if parts.metadata.driver is not None:
        yield from examine.metadata(parts.metadata.driver, patience=patience)
    if parts.auth.driver is not None:
        yield from examine.auth(parts.auth.driver, patience=patience)
    if parts.limits.driver is not None:
        yield from examine.limits(parts.limits.driver, patience=patience)
    yield from _findings_of_cache_and_imports(parts, patience)
    for part, work in _agreements(config):
        yield from examine.coordination(part, work, patience=patience)


def _findings_of_cache_and_imports(parts: Parts, patience: float) -> Iterator[Finding]:
    from glancekit.services import examination as examine

    if parts.cache_policy is not None and parts.cache_policy.driver is not None:
        yield from examine.cache_policy(parts.cache_policy.driver, patience=patience)
    for name, loaded in parts.methods.items():
        if loaded.driver is not None:
            yield from examine.import_method(name, loaded.driver, patience=patience)
    for name, loaded in parts.steps.items():
        if loaded.driver is not None:
            yield from examine.import_step(name, loaded.driver, patience=patience)


def _agreements(config: Configuration) -> Iterable[tuple[str, Callable[[], object]]]:
    """Return what processes agree by: who does the periodic work, and who does which import."""
    from glancekit.bootstrap.settings import flow_settings
    from glancekit.core.coordination import Coordination
    from glancekit.core.election import FileElection
    from glancekit.core.errors import Unavailable
    from glancekit.core.periodic_options import SECTION, PeriodicSettings

    def elect() -> None:
        settings = PeriodicSettings.of(config.section(SECTION))
        if settings.coordination is None:
            with FileElection(config.data_dir, "doctor") as election:
                election.won()
            return
        cluster = Coordination(settings.coordination, settings.lease)
        try:
            if cluster.take(f"doctor {os.getpid()}") is None:
                raise Unavailable(f"[{SECTION}] coordination gives no turn; the log says why")
        finally:
            cluster.close()

    def open_board() -> None:
        from glancekit.flows.engine import Board

        Board(flow_settings(config)).close()

    return (("election", elect), ("jobboard", open_board))


def _findings_of_stores(
    config: Configuration, parts: Parts, only: str | None, patience: float
) -> Iterator[Finding]:
    from glancekit.bootstrap.fitting import mount
    from glancekit.services import examination as examine

    known = [entry.id for entry in parts.stores]
    if only is not None and only not in known:
        raise click.ClickException(f"There is no store {only!r}; there are: {', '.join(known)}")
    for entry, loaded in parts.stores.items():
        if only in (None, entry.id) and loaded.error is None:
            mounted = mount(config, entry, loaded)
            yield from examine.store(mounted, patience=patience, metadata=parts.metadata.driver)
        elif only == entry.id:
            yield from examine.plugins((loaded.report,))

# SPDX-License-Identifier: Apache-2.0
"""What an operator writes down: sites, and the links along which images are kept the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glancekit.plugin import (
    BoolOpt,
    ConfigError,
    DictOpt,
    FloatOpt,
    IntOpt,
    Invalid,
    ListOpt,
    ReadSection,
    StrOpt,
)
from glancekit_site_replication.endpoint import ENVIRONMENT, Address, site_name
from glancekit_site_replication.records import Translation
from glancekit_site_replication.selection import Selection, moment, pairs
from glancekit_site_replication.spool import PART
from glancekit_site_replication.work import Manner

SECTION = "site_replication"
SITE = "site_"
"""How a site's section begins; its name is behind that."""
LINK = "replication_"
"""How a link's section begins; its name is behind that."""

MIB = 1 << 20

OPTIONS: Sequence[Any] = (
    ListOpt(
        "links",
        default=[],
        help="Names of links to sync every so often, each with a section [replication_NAME].",
    ),
    StrOpt(
        "spool",
        default="$data_dir/replication",
        help="Folder for images on their way. It needs room for the largest ones of a link, as "
        "many as its 'parallel'.",
    ),
)

SITE_OPTIONS: Sequence[Any] = (
    StrOpt("url", help="The service: http://host:9292."),
    StrOpt(
        "cloud",
        help="A cloud of clouds.yaml, where there is no 'url'; env for the variables OS_*.",
    ),
    StrOpt("region", help="The region of that cloud. Default: the one that clouds.yaml names."),
    StrOpt("token", secret=True, help="Token for a service at a 'url'. Default: none."),
    DictOpt(
        "headers",
        default={},
        secret=True,
        help="Headers for a service at a 'url' that believes those of a proxy: "
        "'X-Roles:admin,X-Project-Id:ops'.",
    ),
    StrOpt("cacert", help="File of certificate authorities to trust. Default: the system's."),
    BoolOpt("insecure", default=False, help="Trust any certificate."),
    FloatOpt("timeout", default=60.0, min=0.1, help="Seconds in which something has to move."),
)

LINK_OPTIONS: Sequence[Any] = (
    StrOpt("source", help="Where images come from: a site's name or a URL."),
    StrOpt("target", help="Where they are brought: a site's name or a URL."),
    FloatOpt("interval", default=3600.0, min=1.0, help="Seconds from one sync to the next."),
    FloatOpt("deadline", default=86400.0, min=1.0, help="Seconds that a sync should not exceed."),
    ListOpt("filters", default=[], help="What images have to be: os_distro=debian, min_ram=0."),
    ListOpt("tags", default=[], help="Tags that images have to have, all of them."),
    StrOpt("name_like", help="What their names have to be like: 'debian-*'. Default: anything."),
    ListOpt("visibility", default=[], help="Visibilities that count. Default: all."),
    ListOpt("owners", default=[], help="Projects whose images count. Default: all."),
    StrOpt("newer_than", help="Changed since a time, or in an age such as 7d. Default: ever."),
    BoolOpt("members", default=False, help="Bring along with whom images are shared."),
    DictOpt("projects", default={}, help="Projects there by projects here: 'a:x,b:y'."),
    BoolOpt("keep_owner", default=False, help="Give images to the project of the same id."),
    ListOpt("leave", default=[], help="Properties that do not travel, as globs: 'os_secret_*'."),
    BoolOpt("delete", default=False, help="Delete what was brought and is gone at the source."),
    BoolOpt(
        "take_over",
        default=False,
        help="Change images of the same id and data that somebody else brought there, too.",
    ),
    IntOpt("parallel", default=4, min=1, max=64, help="Images on their way at once."),
    FloatOpt(
        "limit", min=0.001, help="MiB a second, in each direction. Default: as fast as it goes."
    ),
    StrOpt(
        "region",
        help="The source's region as the target knows it, which then fetches the bytes by itself "
        "(glance-download). Default: they go through here.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """From where to where, and how."""

    source: Address
    target: Address
    manner: Manner
    interval: float
    deadline: float


def address_of(word: str, read_section: ReadSection) -> Address:
    """Return the site that a word means: a URL, a site of the configuration, or a cloud."""
    if "://" in word:
        return Address(name=site_name(word), url=word)
    if word == ENVIRONMENT:
        return Address(name=word, cloud=word)
    options = read_section(f"{SITE}{word}", SITE_OPTIONS)
    cloud = None if options.url else options.cloud or word
    return Address(
        name=word,
        url=options.url,
        cloud=cloud,
        region=options.region,
        token=options.token,
        headers=options.headers,
        cacert=options.cacert,
        insecure=options.insecure,
        timeout=options.timeout,
    )


def link_of(name: str, read_section: ReadSection) -> Link:
    """Return a link.

    :raises ConfigError: when its section does not say from where to where, or makes no sense.
    """
    section = f"{LINK}{name}"
    options = read_section(section, LINK_OPTIONS)
    if not options.source or not options.target:
        raise ConfigError(f"[{section}] needs a source and a target")
    try:
        manner = manner_of(options, spool_of(read_section))
    except Invalid as error:
        raise ConfigError(f"[{section}] {error}") from error
    return Link(
        source=address_of(options.source, read_section),
        target=address_of(options.target, read_section),
        manner=manner,
        interval=options.interval,
        deadline=options.deadline,
    )


def spool_of(read_section: ReadSection) -> Path:
    """Return the folder for images on their way."""
    return Path(read_section(SECTION, OPTIONS).spool)


def manner_of(options: Any, spool: Path) -> Manner:
    """Return how a link's options say that it is to be done.

    :raises Invalid: when they make no sense.
    """
    selection = Selection(
        fields=pairs(options.filters),
        tags=frozenset(options.tags),
        name=options.name_like,
        visibility=frozenset(options.visibility),
        owners=frozenset(options.owners),
        newer_than=moment(options.newer_than) if options.newer_than else None,
    )
    projects: Mapping[str, str] = options.projects
    return Manner(
        spool=spool,
        selection=selection,
        translation=Translation(
            projects=projects, keep_owner=options.keep_owner, leave=tuple(options.leave)
        ),
        members=options.members,
        take_over=options.take_over,
        delete=options.delete,
        parallel=options.parallel,
        limit=options.limit and options.limit * MIB,
        part=PART,
        region=options.region,
    )

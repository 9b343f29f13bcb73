# SPDX-License-Identifier: Apache-2.0
"""The options of the image cache. A cache policy's own are declared with the policy."""

from __future__ import annotations

from oslo_config import cfg

from glancekit.core.options.value_types import Folder, Size


def cache() -> list[cfg.Opt]:
    """Return where images are cached, and which."""
    return [
        cfg.Opt(
            "image_cache_dir",
            type=Folder(),
            help="Folder of this host for images that were downloaded, to serve them from there "
            "the next time. All processes of the host share it. Default: nothing is cached.",
        ),
        cfg.Opt(
            "image_cache_max_size",
            type=Size(),
            default=10 << 30,
            sample_default="10GB",
            help="Most bytes that cached images take, those that are being fetched included. It "
            "is never passed: what has no room is served past the cache.",
        ),
        cfg.Opt(
            "image_cache_free_reserve",
            type=Size(),
            default=1 << 30,
            sample_default="1GB",
            help="Bytes of the cache's disk that stay free, whatever else is on it.",
        ),
        cfg.StrOpt(
            "image_cache_policy",
            default="lru",
            help="What is worth keeping, and what goes first when room is needed: lru, lfu, ttl, "
            "size, or a plugin's.",
        ),
        cfg.IntOpt(
            "image_cache_fills",
            default=16,
            min=1,
            help="Images that one process fetches into the cache at a time; more are served past "
            "it.",
        ),
        cfg.IntOpt(
            "image_cache_stall_time",
            default=86400,
            min=1,
            help="Seconds without a byte after which an unfinished image is removed. What a dead "
            "process left goes at once.",
        ),
        cfg.FloatOpt(
            "image_cache_verify_after",
            default=0.0,
            min=0.0,
            help="Hours after which a cached image is read again and held against its digest; 0: "
            "never.",
        ),
        cfg.StrOpt(
            "worker_self_reference_url",
            default="",
            help="URL of the service on this host. The cache tells by it which hosts have an "
            "image. Default: the name of the host.",
        ),
    ]


def prefetching() -> list[cfg.Opt]:
    """Return which images are cached before anybody asks."""
    return [
        cfg.IntOpt(
            "cache_prefetcher_interval",
            default=300,
            min=1,
            help="Seconds between looks for images that image_cache_prefetch means.",
        ),
        cfg.ListOpt(
            "image_cache_prefetch",
            default=[],
            help="Which active images are fetched into the cache before anybody asks for them: "
            "tag:NAME or PROPERTY=VALUE, with commas between.",
        ),
    ]

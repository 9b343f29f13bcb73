# SPDX-License-Identifier: Apache-2.0
"""The options of the service itself, by subject; here is which section has which of them.

Where a thing is the same as upstream's, so is the name. Those of a driver are declared with the
driver; reading files is the business of ``core/config``.
"""

from __future__ import annotations

from oslo_config import cfg

from glancekit.core.options import caching, images, imports, service, stores
from glancekit.core.urifilter import FILTER_SECTION

DEFAULT = "DEFAULT"

STAGING_STORE = "os_glance_staging_store"
"""Upstream's id of the place for data on their way in. No store has an id that begins so."""


def service_options() -> dict[str, list[cfg.Opt]]:
    """Return the options of every section that is always there."""
    return {
        DEFAULT: [
            *service.places(),
            *imports.methods(),
            *images.limits(),
            *images.answers(),
            *images.PROTECTIONS,
            *images.deletes(),
            *caching.cache(),
            *caching.prefetching(),
            *service.logs(),
        ],
        "glance_store": stores.CHOICE,
        "metadata": service.METADATA,
        "auth": service.AUTH,
        "quotas": service.QUOTAS,
        "image_format": images.FORMATS,
        "plugins": service.PLUGINS,
        "oslo_policy": service.POLICY,
        "task": service.TASKS,
        "updater": service.UPDATER,
        "image_import_opts": imports.STEPS,
        FILTER_SECTION: imports.FILTER,
        STAGING_STORE: imports.STAGING,
    }

# SPDX-License-Identifier: Apache-2.0
"""The kinds of plugins that can be begun, and how each differs from the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from glancekit.core.drivers import (
    AUTH,
    CACHE_POLICIES,
    COMMANDS,
    HOOKS,
    IMPORT_METHODS,
    IMPORT_STEPS,
    LIMITS,
    METADATA,
    STORES,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of plugin.

    ``source`` names its templates and the module in the package; ``suffix`` ends the name of its
    class, empty where the entry point names the module itself. ``configuration`` is what switches
    it on, with the words of the templates in it. ``requires`` are packages besides glancekit.
    """

    group: str
    source: str
    suffix: str
    what: str
    configuration: str
    requires: str = ""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "store": Kind(
            STORES,
            "store",
            "Store",
            "Images as files of a folder",
            "[DEFAULT]\nenabled_backends = shelf:~~{name}\n\n"
            "[shelf]\n~~{snake}_folder = /srv/~~{name}",
        ),
        "metadata": Kind(
            METADATA,
            "metadata",
            "Metadata",
            "Records of images",
            "[metadata]\ndriver = ~~{name}",
            requires="glancekit-sqlite-metadata >=0.1, <1",
        ),
        "auth": Kind(
            AUTH,
            "auth",
            "Auth",
            "Who is calling, by a signature",
            "[auth]\ndriver = ~~{name}\n~~{snake}_secret = ...",
        ),
        "limits": Kind(
            LIMITS,
            "limits",
            "Limits",
            "What projects may have, from a file",
            "[quotas]\ndriver = ~~{name}\n\n"
            "[~~{snake}_limits]\n~~{snake}_file = /etc/glancekit/~~{name}.json",
        ),
        "cache-policy": Kind(
            CACHE_POLICIES,
            "policy",
            "Policy",
            "What the image cache keeps longest",
            "[DEFAULT]\nimage_cache_dir = /var/cache/glancekit\nimage_cache_policy = ~~{name}\n\n"
            "[~~{snake}_cache_policy]\n~~{snake}_spared = 10",
        ),
        "import-method": Kind(
            IMPORT_METHODS,
            "method",
            "Method",
            "Imports out of a folder",
            "[DEFAULT]\nenabled_import_methods = glance-direct, ~~{name}\n\n"
            "[~~{snake}_import]\n~~{snake}_folder = /srv/~~{name}",
        ),
        "import-step": Kind(
            IMPORT_STEPS,
            "step",
            "Step",
            "A property that is set on import",
            "[image_import_opts]\nimage_import_plugins = ~~{name}\n\n"
            "[~~{snake}_step]\n~~{snake}_label = checked",
        ),
        "signature": Kind(
            IMPORT_STEPS,
            "verifier",
            "Verification",
            "Only images that are signed come in",
            "[image_import_opts]\nimage_import_plugins = ~~{name}\n\n"
            "[~~{snake}_signature]\n~~{snake}_secret = ...",
        ),
        "hooks": Kind(
            HOOKS,
            "listener",
            "",
            "A listener that counts what happens",
            "# Installing it is enough. To switch it off:\n[plugins]\ndisabled = ~~{name}",
        ),
        "periodic-task": Kind(
            HOOKS,
            "task",
            "Task",
            "How many images each project has, written every so often",
            "# Installing it is enough. To have it run more often:\n"
            "[~~{snake}]\n~~{snake}_interval = 60",
        ),
        "commands": Kind(
            COMMANDS,
            "commands",
            "",
            "A command that lists images",
            "# Installing it is enough: glancekit ~~{name} list\n"
            "[~~{snake}]\n~~{snake}_most = 100",
            requires="click >=8.1.7",
        ),
    }
)

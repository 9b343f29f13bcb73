# SPDX-License-Identifier: Apache-2.0
"""How the documentation is built (``make docs``). What it says of the code, _ext takes from it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from glancekit import __version__

project = "glancekit"
copyright = "the glancekit authors"
version = release = __version__

extensions = ["generated", "rooms", "ways"]
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"glancekit {release}"
html_copy_source = False

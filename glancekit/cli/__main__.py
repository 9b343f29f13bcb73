# SPDX-License-Identifier: Apache-2.0
"""``python -m glancekit.cli``: the command line where no script was installed."""

from glancekit.cli import main

if __name__ == "__main__":
    main()

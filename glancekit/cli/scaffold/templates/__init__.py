# SPDX-License-Identifier: Apache-2.0
"""What the files of a new plugin are made of. ``~~{word}`` stands for a word of ``writing.py``."""

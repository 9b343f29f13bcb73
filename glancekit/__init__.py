# SPDX-License-Identifier: Apache-2.0
"""glancekit: the image service for clouds and labs that you extend with ``pip install``."""

__version__ = "0.1.0"

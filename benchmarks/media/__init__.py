# SPDX-License-Identifier: Apache-2.0
"""One large image through the whole service and through a medium's own tool, in the same run."""

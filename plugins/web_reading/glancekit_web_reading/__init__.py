# SPDX-License-Identifier: Apache-2.0
"""What glancekit's plugins that read from web servers share. It is no driver itself."""

# SPDX-License-Identifier: Apache-2.0
"""Events for web servers. What happens, and in which order it is told, the outbox knows."""

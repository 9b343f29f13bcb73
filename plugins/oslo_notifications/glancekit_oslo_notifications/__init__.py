# SPDX-License-Identifier: Apache-2.0
"""Events for a message bus. What happens, and in which order it is told, the outbox knows."""

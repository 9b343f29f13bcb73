# SPDX-License-Identifier: Apache-2.0
"""Long recipes that survive whatever dies: the one room of TaskFlow. HTTP and SQL live elsewhere.

What a step does to records and bytes is told to this room by the services (ports.py).
"""

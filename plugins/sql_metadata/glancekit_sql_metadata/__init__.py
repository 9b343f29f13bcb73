# SPDX-License-Identifier: Apache-2.0
"""What the SQL metadata drivers share: tables, statements, repositories, migrations.

Which database it is, and how it is reached, is the dialect plugins' business (``dialect.py``).
"""

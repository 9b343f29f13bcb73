# SPDX-License-Identifier: Apache-2.0
"""The serving process: gunicorn with a worker that cannot be starved by slow clients.

The only room that knows gunicorn; what is served (glancekit.wsgi) is not its business.
"""

"""The JSON API: operations on the resources of the tree, registered once and described from that.

An operation is a function below `web/views/api_*.py` that takes a `Call` and gives an answer of
its type. `operations.operation` registers it with everything that a caller must know: the
permission, what may be asked and sent, what comes back. Routes, checks and the OpenAPI document
are made of the same register, so that they cannot say different things.
"""

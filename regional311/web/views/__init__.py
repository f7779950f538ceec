"""Views, one module a slice; each declares context, permission and request_method."""

"""The web: one resource tree, forms, views and templates over the services and queries below it."""

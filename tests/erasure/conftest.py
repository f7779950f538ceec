"""The little region's fixtures."""

from tests.little_region import (
    city,
    committed_engine,
    little_engine,
    little_template,
    region,
)

__all__ = ["city", "committed_engine", "little_engine", "little_template", "region"]

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 2, 18, 0, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the example region's files, to be changed at will."""
    for name in ("tenants", "policies"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def empty_engine(server, migrated_template) -> Iterator[Engine]:
    """The application's role in a database with the schema and nothing in it."""
    database = server.clone(migrated_template)
    engine = database.engine()
    yield engine
    engine.dispose()
    server.drop(database.name)

"""The reference says what the schemas say, and its examples are valid."""

import json

import pytest

from regional311.config import reference
from regional311.config.files import read_region, table_of
from regional311.config.schema import POLICY_FILES, TENANT_FILES, AgreementFile

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}


def every_model():
    waiting = [*TENANT_FILES.values(), *POLICY_FILES.values(), AgreementFile]
    seen = set()
    while waiting:
        model = waiting.pop()
        if model in seen:
            continue
        seen.add(model)
        waiting.extend(filter(None, (table_of(model, name) for name in model.model_fields)))
    return sorted(seen, key=lambda model: model.__name__)


def test_the_page_is_current():
    assert reference.PAGE.read_text(encoding="utf-8") == reference.render()
    assert str(reference.write_reference(only_check=True)) == "docs/configuration.md is current."


def test_a_page_that_fell_behind_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "PAGE", tmp_path / "configuration.md")
    with pytest.raises(reference.NotCurrent, match="run make docs"):
        reference.write_reference(only_check=True)
    reference.write_reference()
    reference.write_reference(only_check=True)


@pytest.mark.parametrize("model", every_model(), ids=lambda model: model.__name__)
def test_every_key_is_described(model):
    assert model.__doc__
    for name, info in model.model_fields.items():
        assert info.description, name


def test_the_examples_are_one_valid_region(tmp_path):
    names = {"<slug>": "example-town", "<key>": "town-for-211"}
    for pattern, text in reference.EXAMPLES.items():
        name = pattern
        for placeholder, value in names.items():
            name = name.replace(placeholder, value)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "tenants/example-town/boundaries").mkdir()
    (tmp_path / "tenants/example-town/boundaries/town.geojson").write_text(json.dumps(SQUARE))
    partner = reference.EXAMPLES["policies/region.toml"].replace(
        'kind = "region"', 'kind = "community"'
    )
    (tmp_path / "tenants/211info").mkdir()
    (tmp_path / "tenants/211info/tenant.toml").write_text(partner)
    region = read_region(tmp_path)
    assert set(region.tenants) == {"example-town", "211info"}
    assert region.tenants["example-town"].services[0].disposition[1].kind == "resolve"

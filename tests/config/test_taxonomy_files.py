"""Taxonomies as files: what is wrong is named, and files and database agree."""

import pytest
from sqlalchemy import func, select

from regional311.catalog.content import Taxonomy, Term
from regional311.catalog.models import TaxonomyTerm
from regional311.catalog.taxonomies import TaxonomyImported, TaxonomyTaken, write_taxonomy
from regional311.config.apply import apply, apply_directories
from regional311.config.export import export
from regional311.config.files import ConfigInvalid, read_region
from regional311.config.plan import NOBODY, plan
from regional311.database.session import acting_for, open_session
from regional311.referral.snapshot import Published

from .conftest import NOW

OURS = """\
[[taxonomy]]
key = "our-subjects"
name = "Our subjects"
description = "What people ask about."
licence = "CC0"

[[taxonomy.term]]
code = "food"
name = "Food"

[[taxonomy.term.translation]]
language = "es"
name = "Comida"

[[taxonomy.term]]
code = "meals"
name = "Meals"
parent = "food"
"""
THEIRS = """\
[[taxonomy]]
key = "their-subjects"
name = "Their subjects"
description = "The same in other words."

[[taxonomy.term]]
code = "nutrition"
name = "Nutrition"

[[crosswalk]]
term = "their-subjects:nutrition"
relation = "exact"
other = "our-subjects:food"
"""


@pytest.fixture
def files(root):
    ours, theirs = (root / name for name in ("policies", "tenants/211info"))
    (ours / "taxonomies.toml").write_text(OURS)
    (theirs / "taxonomies.toml").write_text(THEIRS)
    return root


def wrong(root) -> list[str]:
    with pytest.raises(ConfigInvalid) as refused:
        read_region(root)
    return [str(error) for error in refused.value.errors]


def test_loops_twins_and_strangers_are_named_with_their_file(files):
    path = files / "policies/taxonomies.toml"
    path.write_text(
        OURS.replace('name = "Food"', 'name = "Food"\nparent = "meals"')
        + '\n[[taxonomy.term]]\ncode = "meals"\nname = "Again"\nparent = "mels"\n'
    )
    (files / "tenants/211info/taxonomies.toml").write_text(
        THEIRS.replace("our-subjects:food", "our-subjects:fod")
    )
    assert wrong(files) == [
        (
            "policies/taxonomies.toml: taxonomy[our-subjects].term[food].parent: is below itself: "
            "food below meals below food"
        ),
        (
            "policies/taxonomies.toml: taxonomy[our-subjects].term[meals].code: meals is used "
            "twice (entry 3)"
        ),
        (
            "tenants/211info/taxonomies.toml: crosswalk[their-subjects:nutrition our-subjects:fod]"
            ".other: there is no term fod in our-subjects; did you mean food?"
        ),
    ]


def test_one_key_has_one_keeper_in_the_region(files):
    (files / "tenants/211info/taxonomies.toml").write_text(OURS)
    assert wrong(files) == [
        (
            "tenants/211info/taxonomies.toml: taxonomy[our-subjects].key: is the key of a taxonomy "
            "of region"
        )
    ]


def test_codes_and_references_say_what_they_may_hold(files):
    (files / "policies/taxonomies.toml").write_text(OURS.replace('code = "food"', 'code = "fo:od"'))
    (files / "tenants/211info/taxonomies.toml").write_text(
        THEIRS.replace('other = "our-subjects:food"', 'other = "food"')
    )
    assert wrong(files) == [
        (
            "policies/taxonomies.toml: taxonomy[our-subjects].term[fo:od].code: 'fo:od' is not a "
            "code: letters, digits, and between them dots, hyphens and underscores"
        ),
        (
            "tenants/211info/taxonomies.toml: crosswalk[1].other: 'food' is not a term, such as "
            "region:food"
        ),
    ]


def test_a_service_names_terms_that_exist_where_their_taxonomy_is_in_a_file(files):
    path = files / "tenants/211info/services/community.toml"
    text = path.read_text()
    own = next(line for line in text.splitlines() if line.startswith("taxonomy = "))
    path.write_text(text.replace(own, 'taxonomy = ["our-subjects:meels", "imported:anything"]', 1))
    assert [each.partition("taxonomy: ")[2] for each in wrong(files)] == [
        "there is no term meels in our-subjects; did you mean meals?"
    ]


@pytest.mark.commits
def test_files_and_database_agree_both_ways(empty_engine, files, tmp_path):
    apply_directories(empty_engine, files / "tenants", files / "policies", now=NOW)
    assert str(plan(empty_engine, files, now=NOW)) == "No changes."
    export(empty_engine, tmp_path / "out", now=NOW)
    for name in ("policies", "tenants/211info"):
        said = (tmp_path / "out" / name / "taxonomies.toml").read_text()
        assert said == (files / name / "taxonomies.toml").read_text()

    (files / "policies/taxonomies.toml").write_text(
        OURS.replace('name = "Meals"', 'name = "Hot meals"')
        .replace('code = "food"\nname = "Food"', 'code = "groceries"\nname = "Groceries"')
        .replace('parent = "food"', 'parent = "groceries"')
    )
    (files / "tenants/211info/taxonomies.toml").write_text(THEIRS.partition("[[crosswalk]]")[0])
    told = str(plan(empty_engine, files, now=NOW))
    assert "  ~ taxonomy our-subjects\n      term[food].code: food -> (none)" in told
    assert "term[meals].name: Meals -> Hot meals" in told
    assert "  - crosswalk their-subjects:nutrition our-subjects:food" in told
    apply(empty_engine, files, now=NOW)
    assert str(plan(empty_engine, files, now=NOW)) == "No changes."
    with open_session(empty_engine, NOBODY) as session:
        terms = Published.load(session).terms
        assert [each.ref for each in terms.of("our-subjects")] == [
            "our-subjects:groceries",
            "our-subjects:meals",
        ]
        assert not terms.links
        ended = session.execute(
            select(TaxonomyTerm.code).where(TaxonomyTerm.ended_on.is_not(None))
        ).scalars()
        assert list(ended) == ["food"]

    (files / "policies/taxonomies.toml").write_text(OURS)
    (files / "tenants/211info/taxonomies.toml").write_text(THEIRS)
    apply(empty_engine, files, now=NOW)
    with open_session(empty_engine, NOBODY) as session:
        terms = Published.load(session).terms
        assert "our-subjects:meals" in terms.terms_of("their-subjects:nutrition")
        assert terms.find("our-subjects:food").named("es") == "Comida"
        assert session.execute(select(func.count()).select_from(TaxonomyTerm)).scalar_one() == 4


def said(key: str, *codes: str) -> Taxonomy:
    terms = tuple(Term(code=code, name=code.title()) for code in codes)
    return Taxonomy(key=key, name=key, description="For trial.", term=terms)


def test_a_key_of_another_partner_is_refused(dbsession, tenants):
    write_taxonomy(dbsession, said("mine", "a"), source="imported", today=NOW.date())
    with pytest.raises(TaxonomyImported, match="import it again"):
        write_taxonomy(dbsession, said("mine", "a", "b"), source="kept", today=NOW.date())
    with acting_for(dbsession, tenants["211info"]), pytest.raises(TaxonomyTaken, match="mine"):
        write_taxonomy(dbsession, said("mine", "a"), source="kept", today=NOW.date())

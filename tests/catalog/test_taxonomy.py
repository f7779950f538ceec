"""Trees of terms: what is wrong with one, and what belongs to a branch."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from regional311.catalog.content import Crosswalk
from regional311.catalog.taxonomy import (
    Link,
    Terms,
    Tree,
    TreeTerm,
    crosswalk_faults,
    term_faults,
)


@dataclass(frozen=True)
class Placed:
    code: str
    parent: str | None = None


FOOD = [
    TreeTerm("region:food", "Food"),
    TreeTerm("region:groceries", "Groceries", "region:food"),
    TreeTerm("region:meals", "Meals", "region:food", names={"es": "Comidas"}),
    TreeTerm("region:streets", "Streets"),
    TreeTerm("open:nutrition", "Nutrition"),
    TreeTerm("open:pantry", "Pantry", "open:nutrition"),
    TreeTerm("open:kitchen", "Soup kitchen", "open:nutrition"),
    TreeTerm("open:garden", "Garden"),
]


def test_a_sound_tree_has_no_faults():
    assert not list(term_faults([Placed("food"), Placed("groceries", "food"), Placed("x", "food")]))


def test_a_child_may_come_before_its_parent():
    assert not list(term_faults([Placed("groceries", "food"), Placed("food")]))


def test_a_code_used_twice_and_a_parent_that_is_not_there_are_named():
    faults = list(term_faults([Placed("food"), Placed("food"), Placed("meals", "foood")]))
    assert faults == [
        ("term[food].code", "food is used twice (entry 2)"),
        ("term[meals].parent", "there is no term foood; did you mean food?"),
    ]


def test_a_loop_is_named_once_with_its_way_round():
    faults = list(
        term_faults([Placed("a", "c"), Placed("b", "a"), Placed("c", "b"), Placed("d", "a")])
    )
    assert faults == [("term[a].parent", "is below itself: a below c below b below a")]


def test_a_term_below_itself_is_a_loop():
    assert list(term_faults([Placed("a", "a")])) == [
        ("term[a].parent", "is below itself: a below a")
    ]


@given(
    st.dictionaries(
        st.sampled_from("abcdefgh"), st.none() | st.sampled_from("abcdefgh"), min_size=1
    )
)
def test_a_tree_without_faults_has_every_term_once_below_a_top(parents):
    placed = [Placed(code, parent) for code, parent in parents.items()]
    terms = Terms(
        [Tree("t", "T", "city")],
        [TreeTerm(f"t:{c}", c, f"t:{p}" if p else None) for c, p in parents.items()],
    )
    walked = [each.ref for each in terms.of("t")]
    assert len(walked) == len(set(walked))
    if not list(term_faults(placed)):
        assert sorted(walked) == sorted(f"t:{code}" for code in parents)
        union = set().union(*(terms.terms_of(each.ref) for each in terms.tops("t")))
        assert union == set(walked)
    for code in parents:
        assert terms.path(f"t:{code}")[-1].ref == f"t:{code}"


def test_crosswalks_tie_known_terms_of_two_taxonomies_once():
    said = [
        Crosswalk(term="region:food", relation="exact", other="open:nutrition"),
        Crosswalk(term="open:nutrition", relation="narrower", other="region:food"),
        Crosswalk(term="region:food", relation="exact", other="region:meals"),
        Crosswalk(term="region:fod", relation="exact", other="elsewhere:anything"),
    ]
    codes = {"region": ["food", "meals"], "open": ["nutrition"]}
    assert list(crosswalk_faults(said, codes)) == [
        ("crosswalk[open:nutrition region:food]", "these two terms are tied already"),
        (
            "crosswalk[region:food region:meals].other",
            "is of the same taxonomy; a crosswalk ties two",
        ),
        (
            "crosswalk[region:fod elsewhere:anything].term",
            "there is no term fod in region; did you mean food?",
        ),
    ]


def test_a_branch_holds_all_below_it_and_nothing_beside_it():
    terms = Terms(terms=FOOD)
    assert terms.terms_of("region:food") == {"region:food", "region:groceries", "region:meals"}
    assert terms.terms_of("region:meals") == {"region:meals"}


def test_what_is_exactly_the_same_is_followed_both_ways_with_all_below():
    terms = Terms(terms=FOOD, links=[Link("region:food", "open:nutrition", "exact")])
    assert terms.terms_of("region:food") == {
        "region:food",
        "region:groceries",
        "region:meals",
        "open:nutrition",
        "open:pantry",
        "open:kitchen",
    }
    assert terms.terms_of("open:nutrition") == terms.terms_of("region:food")


def test_narrower_is_within_broader_is_around_and_related_is_neither():
    terms = Terms(
        terms=FOOD,
        links=[
            Link("region:meals", "open:kitchen", "narrower"),
            Link("open:pantry", "region:groceries", "broader"),
            Link("region:food", "open:garden", "related"),
        ],
    )
    assert "open:kitchen" in terms.terms_of("region:meals")
    assert terms.terms_of("open:kitchen") == {"open:kitchen"}
    assert terms.terms_of("region:groceries") == {"region:groceries", "open:pantry"}
    assert "open:garden" not in terms.terms_of("region:food")


def test_crosswalks_in_a_circle_end():
    terms = Terms(
        terms=FOOD,
        links=[
            Link("region:food", "open:nutrition", "narrower"),
            Link("open:nutrition", "region:food", "narrower"),
        ],
    )
    assert len(terms.terms_of("region:food")) == 6


def test_an_unknown_reference_is_a_branch_of_its_own():
    terms = Terms(terms=FOOD)
    assert terms.terms_of("gone:term") == {"gone:term"}
    assert terms.find("gone:term") is None
    assert terms.path("gone:term") == ()


def test_names_come_in_the_language_asked_for_or_as_first_said():
    meals = Terms(terms=FOOD).find("region:meals")
    assert (meals.named("es"), meals.named("ru")) == ("Comidas", "Meals")


def test_terms_are_walked_each_after_the_one_above():
    terms = Terms(terms=FOOD)
    assert [each.name for each in terms.of("region")] == ["Food", "Groceries", "Meals", "Streets"]
    assert [each.name for each in terms.below("region:food")] == ["Groceries", "Meals"]
    assert [each.name for each in terms.path("region:meals")] == ["Food", "Meals"]


def test_a_tree_ten_thousand_terms_deep_is_walked():
    deep = [
        TreeTerm(f"t:{n}", str(n), f"t:{n - 1}" if n else None, names={}) for n in range(10_000)
    ]
    terms = Terms(terms=deep)
    assert len(terms.of("t")) == len(terms.terms_of("t:0")) == 10_000
    assert not list(term_faults([Placed(str(n), str(n - 1) if n else None) for n in range(10_000)]))

"""The objects of HSDS 3.2.3 as data: their fields, what they hold, their tables in a package.

Source: the specification's own JSON schemas and tabular data package. One description serves the
API, CSV packages both ways, and imports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

VERSION: Final = "3.2.3"
PROFILE: Final = "https://docs.openreferral.org/en/3.2.3/"

STATUSES: Final = ("active", "inactive", "defunct", "temporarily closed")
PLACES: Final = ("physical", "postal", "virtual")
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FREQUENCIES: Final = ("WEEKLY", "MONTHLY")


@dataclass(frozen=True)
class Shape:
    """One kind of object: `file` is its table in a package.

    `fields` maps each plain field to its kind: text, number, uuid, uri, email, date, time, moment.
    `lists` and `objects` name what it holds, by field, and the shape of that. `owners` are the
    columns of its table that say whose it is, with the owner's shape and its field there.
    """

    name: str
    file: str
    fields: Mapping[str, str]
    required: frozenset[str]
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)
    objects: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    """Plain columns of its table, keys of other tables among them."""

    @cached_property
    def known(self) -> frozenset[str]:
        """Every name that HSDS has for something in it, in a document or a table."""
        return frozenset((*self.fields, *self.columns, *self.lists, *self.objects))


def _shape(
    name: str,
    file: str,
    fields: str,
    *,
    lists: str = "",
    objects: str = "",
    keys: str = "",
    choices: Mapping[str, tuple[str, ...]] | None = None,
) -> Shape:
    kinds: dict[str, str] = {}
    required = set()
    for each in fields.split():
        label, _, kind = each.partition(":")
        if label.endswith("!"):
            label = label[:-1]
            required.add(label)
        kinds[label] = kind or "text"
    held = dict(each.split(":") for each in lists.split())
    if name not in ("attribute", "metadata", "taxonomy", "taxonomy_term"):
        held["attributes"] = "attribute"
    if name != "metadata":
        held["metadata"] = "metadata"
    own = [each for each in kinds if each != "id"]
    return Shape(
        name,
        file,
        kinds,
        frozenset(required),
        choices or {},
        held,
        dict(each.split(":") for each in objects.split()),
        ("id", *keys.split(), *own),
    )


SHAPES: Final[Mapping[str, Shape]] = {
    each.name: each
    for each in (
        _shape(
            "organization",
            "organizations.csv",
            "id!:uuid name! alternate_name description! email:email website:uri tax_status tax_id"
            " year_incorporated:number legal_status logo uri:uri parent_organization_id:uuid",
            lists="additional_websites:url funding:funding contacts:contact phones:phone"
            " locations:location programs:program"
            " organization_identifiers:organization_identifier services:service",
        ),
        _shape(
            "program",
            "programs.csv",
            "id!:uuid name! alternate_name description!",
            keys="organization_id",
        ),
        _shape(
            "service",
            "services.csv",
            "id!:uuid name! alternate_name description url:uri email:email status!"
            " interpretation_services application_process fees_description wait_time fees"
            " accreditations eligibility_description minimum_age:number maximum_age:number"
            " assured_date:date assurer_email:email licenses alert last_modified:moment",
            lists="phones:phone schedules:schedule service_areas:service_area"
            " service_at_locations:service_at_location languages:language funding:funding"
            " cost_options:cost_option required_documents:required_document contacts:contact"
            " capacities:service_capacity additional_urls:url",
            objects="organization:organization program:program",
            keys="organization_id program_id",
            choices={"status": STATUSES},
        ),
        _shape(
            "service_at_location",
            "service_at_location.csv",
            "id!:uuid description",
            lists="service_areas:service_area contacts:contact phones:phone schedules:schedule",
            objects="location:location service:service",
            keys="service_id location_id",
        ),
        _shape(
            "location",
            "locations.csv",
            "id!:uuid location_type! url:uri name alternate_name description transportation"
            " latitude:number longitude:number external_identifier external_identifier_type",
            lists="languages:language addresses:address contacts:contact"
            " accessibility:accessibility phones:phone schedules:schedule",
            keys="organization_id",
            choices={"location_type": PLACES},
        ),
        _shape(
            "address",
            "addresses.csv",
            "id!:uuid attention address_1! address_2 city! region state_province! postal_code!"
            " country! address_type!",
            keys="location_id",
            choices={"address_type": PLACES},
        ),
        _shape(
            "phone",
            "phones.csv",
            "id!:uuid number! extension:number type description",
            lists="languages:language",
            keys="location_id service_id organization_id contact_id service_at_location_id",
        ),
        _shape(
            "contact",
            "contacts.csv",
            "id!:uuid name title department email:email",
            lists="phones:phone",
            keys="organization_id service_id service_at_location_id location_id",
        ),
        _shape(
            "schedule",
            "schedules.csv",
            "id!:uuid valid_from:date valid_to:date dtstart:date timezone:number until:date"
            " count:number wkst freq interval:number byday byweekno bymonthday byyearday"
            " description opens_at:time closes_at:time schedule_link:uri attending_type notes",
            keys="service_id location_id service_at_location_id",
            choices={"wkst": WEEKDAYS, "freq": FREQUENCIES},
        ),
        _shape(
            "service_area",
            "service_areas.csv",
            "id!:uuid name description extent extent_type uri",
            keys="service_id service_at_location_id",
        ),
        _shape(
            "language",
            "languages.csv",
            "id!:uuid name code note",
            keys="service_id location_id phone_id",
        ),
        _shape(
            "accessibility",
            "accessibility.csv",
            "id!:uuid description details url:uri",
            keys="location_id",
        ),
        _shape(
            "required_document",
            "required_documents.csv",
            "id!:uuid document uri:uri",
            keys="service_id",
        ),
        _shape(
            "cost_option",
            "cost_options.csv",
            "id!:uuid valid_from:date valid_to:date option currency amount:number"
            " amount_description",
            keys="service_id",
        ),
        _shape("funding", "funding.csv", "id!:uuid source", keys="organization_id service_id"),
        _shape("url", "url.csv", "id!:uuid label url!:uri", keys="organization_id service_id"),
        _shape(
            "organization_identifier",
            "organization_identifiers.csv",
            "id!:uuid identifier_scheme identifier_type! identifier!",
            keys="organization_id",
        ),
        _shape(
            "service_capacity",
            "service_capacity.csv",
            "id!:uuid available!:number maximum:number description updated!:moment",
            objects="unit:unit",
            keys="service_id unit_id",
        ),
        _shape("unit", "units.csv", "id!:uuid name! scheme identifier uri:uri"),
        _shape(
            "attribute",
            "attributes.csv",
            "id!:uuid link_type link_entity value label",
            objects="taxonomy_term:taxonomy_term",
            keys="link_id taxonomy_term_id",
        ),
        _shape(
            "taxonomy_term",
            "taxonomy_terms.csv",
            "id!:uuid code name! description! parent_id:uuid taxonomy language term_uri:uri",
            objects="taxonomy_detail:taxonomy",
            keys="taxonomy_id",
        ),
        _shape("taxonomy", "taxonomies.csv", "id!:uuid name! description! uri:uri version"),
        _shape(
            "metadata",
            "metadata.csv",
            "id!:uuid resource_type last_action_date!:date last_action_type! field_name!"
            " previous_value! replacement_value! updated_by!",
            keys="resource_id",
        ),
    )
}
"""Every object, the ones that others refer to first."""

NESTED: Final[Mapping[str, frozenset[str]]] = {
    "organization": frozenset({"services", "locations"}),
    "service": frozenset({"service_at_locations", "organization"}),
    "service_at_location": frozenset({"location", "service"}),
    "location": frozenset(),
}
"""The four entities, and which of their fields are entities of their own."""


def own(kind: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Give a document without the other entities in it, and without keys of them."""
    shape = SHAPES[kind]
    apart = NESTED[kind] | (set(shape.columns) - shape.fields.keys())
    return {name: value for name, value in document.items() if name not in apart}


def plain(kind: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Give the plain fields of a document: what lists of the API show."""
    fields = SHAPES[kind].fields
    return {name: value for name, value in document.items() if name in fields}


def unknown_keys(kind: str, document: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Give the paths of everything in a document that HSDS does not know."""
    shape = SHAPES[kind]
    for name, value in document.items():
        here = f"{path}.{name}" if path else name
        inner = shape.lists.get(name) or shape.objects.get(name)
        if inner is None:
            if name not in shape.fields and name not in shape.columns:
                yield here
        else:
            for position, each in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(each, Mapping):
                    yield from unknown_keys(inner, each, f"{here}[{position}]")

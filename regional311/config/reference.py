"""The reference of the configuration files, made from their schemas.

Each page of `docs/` that comes from here is written by `regional311 docs` and compared by a test,
so that it cannot fall behind. The examples are read by a test as one small region.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le, MaxLen
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from regional311 import strict
from regional311.catalog import content
from regional311.config import schema
from regional311.config.files import table_of
from regional311.errors import Conflict
from regional311.referral.conditions import FACTS, MAX_LENGTH

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


class NotCurrent(Conflict):
    """A generated page differs from what its source says now."""


@dataclass(frozen=True)
class Written:
    """The pages that were written; `str` is the readable form."""

    pages: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(f"{page} is current." for page in self.pages)


EXAMPLES: dict[str, str] = {
    "tenants/<slug>/tenant.toml": """\
[tenant]
kind = "city"
name = "Example Town"
short_name = "Town"
summary = "Streets, water and parks in Example Town."
zone = "America/Los_Angeles"
fiscal_year_start_month = 7

[contact]
phone = "503-555-0100"

[hours]
mon = ["08:00-12:00", "13:00-17:00"]
tue = ["08:00-17:00"]

[[holiday]]
day = 2026-11-26
name = "Thanksgiving Day"

[[line]]
key = "main"
name = "Town information"
channel = "phone"
address = "503-555-0100"
hours.mon = ["08:00-17:00"]
hours.tue = ["08:00-17:00"]
closed_answer = "211info"

[[line.fallback]]
answer = "voicemail"
days = ["sat", "sun", "holiday"]
hours = ["00:00-06:00"]

[[line.special_day]]
day = 2026-12-24
hours = ["08:00-12:00"]
name = "Christmas Eve"

[[queue]]
key = "streets"
name = "Streets"
bureau = "public-works"

[[service_level]]
priority = "normal"
hours = 40
warn_at_percent = 80

[[role]]
key = "specialist"
name = "Town clerk"

[[account]]
key = "due_to_partners"
name = "Due to partners"
type = "liability"
external_code = "211000"
""",
    "tenants/<slug>/bureaus.toml": """\
[[bureau]]
key = "public-works"
name = "Public Works"
fund_code = "112"
cost_centre = "400"
""",
    "tenants/<slug>/organizations.toml": """\
[[organization]]
key = "example-food-bank"
name = "Example Food Bank"
description = "Gives out groceries, with and without questions."
legal_status = "Nonprofit"
website = "https://food.example"
location = "town-hall"

[[organization.phone]]
number = "503-555-0130"
languages = ["en", "es"]
""",
    "tenants/<slug>/locations.toml": """\
[[location]]
key = "town-hall"
name = "Town Hall"
address = "1 Main Street"
city = "Example"
state = "OR"
postal_code = "97200"
latitude = 0.5
longitude = 0.5
hours.mon = ["08:00-12:00", "13:00-17:00"]

[[location.accessibility]]
name = "Step-free entrance"
details = "On the side of the park."
""",
    "tenants/<slug>/taxonomies.toml": """\
[[taxonomy]]
key = "town-subjects"
name = "Subjects of Example Town"
description = "What people ask the Town about."

[[taxonomy.term]]
code = "streets"
name = "Streets"

[[taxonomy.term.translation]]
language = "es"
name = "Calles"

[[taxonomy.term]]
code = "potholes"
name = "Potholes"
parent = "streets"

[[crosswalk]]
term = "town-subjects:streets"
relation = "narrower"
other = "open-eligibility:transportation"
""",
    "tenants/<slug>/services.toml": """\
[[service]]
key = "pothole"
name = "Pothole in a street"
summary = "A hole in a Town street. A crew fills it."
verb = "report"
bureau = "public-works"
term = "pothole"
group = "Streets"
keywords = ["pothole", "hole in the road"]
place = "required"
queue = "streets"
target_hours = 40

[[service.disposition]]
kind = "refer"
valid_from = 2026-07-01
valid_to = 2027-01-01

[[service.disposition]]
kind = "resolve"
valid_from = 2027-01-01

[[service.question]]
key = "size"
label = "How big is it?"
kind = "choice"

[[service.question.choice]]
key = "small"
label = "Smaller than a plate"

[[service.question.choice]]
key = "large"
label = "Larger"

[[service.question.choice.translation]]
language = "es"
label = "Más grande"

[[service.question]]
key = "car"
label = "Can a car get past it?"
kind = "yes_no"
show_if.question = "size"
show_if.answers = ["large"]

[[service.question.translation]]
language = "es"
label = "¿Puede pasar un coche?"

[[service.question]]
key = "witness"
label = "Who saw it?"
kind = "group"
group = "person"
show_if.question = "car"
show_if.answers = ["no"]

[[service]]
key = "food-box"
name = "Food box"
summary = "Groceries for a week, free of charge."
verb = "find"
bureau = "public-works"
organization = "example-food-bank"
term = "food"
taxonomy = ["open-eligibility:food-pantry"]
group = "Food"
keywords = ["food", "groceries", "nothing to eat"]
place = "none"
languages = ["en", "es"]
fee = "Free"
review_days = 180

[[service.disposition]]
kind = "refer"
valid_from = 2026-07-01

[[service.document]]
name = "Something that shows your address"

[[service.cost]]
option = "Everybody"
amount = "0.00"

[[service.location]]
location = "town-hall"
hours.wed = ["10:00-12:00"]
note = "At the back door."

[[service.location.capacity]]
unit = "boxes"
maximum = 40

[[service.translation]]
language = "es"
name = "Caja de comida"
summary = "Comida para una semana, sin costo."
keywords = ["comida", "despensa"]
documents = ["Algo que muestre su dirección"]
""",
    "tenants/<slug>/questions.toml": """\
[[group]]
key = "person"
name = "A person to ask"

[[group.question]]
key = "name"
label = "Name"
kind = "text"

[[group.question]]
key = "phone"
label = "Telephone number"
kind = "phone"
hint = "So that the crew can ask where it is."

[[group.question.translation]]
language = "es"
label = "Número de teléfono"
hint = "Para que el equipo pueda preguntar dónde está."

[[group.translation]]
language = "es"
name = "Una persona a quien preguntar"
""",
    "tenants/<slug>/articles.toml": """\
[[article]]
key = "who-fills-potholes"
kind = "answer"
title = "Who fills potholes?"
text = '''
The Town, on **Town streets**. Tell us:

- the nearest address
- how big it is
'''
internal = "State roads: give the caller the number of *State roads*."
bureau = "public-works"
services = ["pothole"]
keywords = ["pothole crew"]

[[article.translation]]
language = "es"
title = "¿Quién repara los baches?"
text = "El municipio, en **calles del municipio**."

[[article]]
key = "water-in-the-street"
kind = "script"
title = "Water in the street"
services = ["pothole"]

[[article.step]]
key = "source"
text = "Is water coming out of the ground?"

[[article.step.choice]]
key = "yes"
label = "Yes, out of the ground"
to = "step:wires"

[[article.step.choice]]
key = "no"
label = "No, it is rain"
to = "end"

[[article.step]]
key = "wires"
text = "Is it near wires or in a building?"

[[article.step.choice]]
key = "yes"
label = "Yes"
to = "danger"

[[article.step.choice]]
key = "no"
label = "No"
to = "service:pothole"

[[article]]
key = "closed-friday"
kind = "notice"
title = "Town Hall is closed this Friday afternoon"
text = "Lines are answered as usual."
level = "warning"
from_time = "12:00"
valid_from = 2026-11-06
valid_to = 2026-11-07
""",
    "tenants/<slug>/texts.toml": """\
[[closing]]
key = "hole-filled"
name = "Hole filled"
service = "pothole"
resolution = "completed"

[[closing.words]]
language = "en"
text = "We filled the hole at {place} on {closed}. Thank you for telling us ({number})."

[[closing.words]]
language = "es"
text = "Tapamos el bache en {place} el {closed}. Gracias por avisarnos ({number})."

[[answer]]
key = "we-look-into-it"
name = "We look into it"
channel = "email"

[[answer.words]]
language = "en"
text = "Hello {name}, we look into it. Your number is {number}. {me}, {partner}"
""",
    "tenants/<slug>/synonyms.toml": """\
[[synonym]]
key = "chuckhole"
said = ["chuckhole", "crater"]
means = ["pothole"]

[[synonym]]
key = "comida"
language = "es"
said = ["mandado", "víveres"]
means = ["comida"]
both_ways = true
""",
    "tenants/<slug>/connection.toml": """\
[connection]
name = "Yard and fleet"
way = "push"
address = "https://yard.example.org/fhir"
key_id = "yard-1"
known_as = "town-yard"

[[connection.service]]
key = "pothole"
known_as = "STREET-HOLE"
""",
    "tenants/<slug>/receiving.toml": """\
[[acceptance]]
key = "potholes-from-211"
name = "Potholes that 211 passes on"
services = ["pothole"]
senders = ["211info"]
mode = "ask"
hours.mon = ["08:00-17:00"]
hours.thu = ["08:00-17:00"]
areas = ["town"]
needs = ["phone", "place"]
documents = ["Photo of the damage"]
message = "Ring the yard first where a car is stuck."
answer_days = 2
finish_days = 14
notify = ["yard@example.org"]

[[acceptance.question]]
key = "public-street"
ask = "Is it on a public street?"
why = "we do not work on private roads"

[[progress]]
key = "crew-sent"
name = "Crew on its way"
state = "in_progress"
""",
    "tenants/<slug>/rules.toml": """\
[rule_set]
valid_from = 2026-07-01

[[rule]]
key = "night"
name = "After hours: say when somebody reads it"
condition = "hour >= 17 || weekday > 5"
continues = true
note = "Somebody reads this on the next working day."

[[rule]]
key = "own"
name = "Everything of the Town: a request in the bureau's queue"
owners = ["self"]
outcome = "open_request"
target = "self"
""",
    "tenants/<slug>/rates.toml": """\
[[rate]]
key = "phone-2026"
card = "intake"
activity = "contact_handled"
channel = "phone"
amount = "4.90"
valid_from = 2026-07-01

[[rate]]
key = "interpreter"
card = "intake"
activity = "interpreter_minute"
unit = "minute"
model = "graduated"
amount = "0.95"
valid_from = 2026-07-01
valid_to = 2027-07-01

[[rate.tier]]
up_to = "1000"
price = "0.95"

[[rate.tier]]
price = "0.85"
flat = "5.00"

[[rate.surcharge]]
key = "night"
hours = "after"
percent = "25"

[[rate.surcharge]]
key = "interpreted"
languages = ["es", "vi"]
amount = "0.40"

[[rate.phase]]
percent = "50"
valid_from = 2026-07-01
""",
    "tenants/<slug>/pools.toml": """\
[[pool]]
key = "front-desk"
fiscal_year = 2027
name = "Front desk"
amount = "20000.00"
source = "Budget 2026-27"

[[pool.share]]
payer = "example-town"
percent = "66.667"

[[pool.share]]
payer = "211info"
percent = "33.333"

[[pool]]
key = "desk"
fiscal_year = 2027
name = "Staffed desk"
amount = "90000.00"
source = "Budget 2026-27"
base = "contacts"
step_order = 2

[[pool.account]]
name = "Personnel"
account = "511000"
amount = "120000.00"

[[pool.revenue]]
name = "State grant"
amount = "30000.00"
""",
    "tenants/<slug>/bases.toml": """\
[[base]]
key = "contacts"
name = "Contacts by bureau"
kind = "contact_count"
counts = "all"

[[snapshot]]
base = "contacts"
number = 1
as_of = 2026-06-30
source = "Count of 2025-26"

[snapshot.readings]
"bureau:public-works" = "340000"
"211info" = "58000"
""",
    "tenants/<slug>/ledger.toml": """\
[[mapping]]
key = "due-from-211"
account = "due_from_partners"
party = "211info"
external_code = "131211"

[[mapping]]
key = "public-works"
party = "bureau:public-works"
fund_code = "700"
cost_centre = "CC-1000"
""",
    "tenants/<slug>/splits.toml": """\
[[split]]
key = "all"
name = "Every bill"

[[split.part]]
percent = "60"
bureau = "public-works"
fund_code = "101"

[[split.part]]
percent = "40"
fund_code = "200"
""",
    "tenants/<slug>/boundaries.toml": """\
[[boundary]]
key = "town"
name = "Example Town"
kind = "jurisdiction"
file = "town.geojson"
names = ["old quarter"]
source = "Drawn by hand"
illustrative = true
""",
    "policies/region.toml": """\
[tenant]
kind = "region"
name = "Example region"
short_name = "Region"
summary = "One place to ask."
zone = "America/Los_Angeles"
fiscal_year_start_month = 7

[contact]
phone = "503-555-0100"

[hours]
mon = ["08:00-17:00"]
""",
    "policies/articles.toml": """\
[[article]]
key = "which-number"
kind = "answer"
title = "Which number do I call?"
text = "Any of them: whoever answers finds the right place."
""",
    "policies/synonyms.toml": """\
[[synonym]]
key = "trash"
said = ["trash", "rubbish", "refuse"]
means = ["garbage"]
both_ways = true
""",
    "policies/agencies.toml": """\
[policy]
name = "Agencies that people are referred out to"
valid_from = 2026-07-01

[[agency]]
key = "state-roads"
name = "State roads"
phone = "503-555-0190"
summary = "State highways, also inside a town."
""",
    "policies/emergencies.toml": """\
[policy]
name = "Emergencies"
valid_from = 2026-07-01

[[kind]]
key = "storm"
name = "Storm"
hours = 48

[[kind.text]]
language = "en"
title = "Storm"
text = "Stay at home. Keep away from fallen wires and call 911 about them."

[[kind.surge]]
line = "example-town/main"
answer = "211info"
""",
    "policies/danger-screen.toml": """\
[policy]
name = "Danger comes first"
valid_from = 2026-07-01

[screen]
ask = "Is anybody in danger right now?"
number = "911"
say = "Hang up and call 911 now."

[[sign]]
key = "fire"
name = "Something is on fire"
words = ["on fire", "flames"]
""",
    "policies/sharing.toml": """\
[policy]
name = "What may cross between partners"
valid_from = 2026-07-01

[sharing]
consent_text = "May we share this with the partner who can help you?"

[[field]]
key = "phone"
name = "Your telephone number"
personal = true

[[field]]
key = "need"
name = "What you need"
personal = false

[[grant]]
key = "with-consent"
purpose = "referral"
receivers = ["city", "community"]
fields = ["phone", "need"]
consent = "asked"
expires_days = 180
""",
    "policies/retention.toml": """\
[policy]
name = "How long personal values are kept"
valid_from = 2026-07-01

[[retention]]
key = "contacts"
kind = "contact"
keep_days = 1095
then = "redact"
basis = "Archive rule 12"
""",
    "policies/agreements/<key>.toml": """\
[agreement]
key = "town-for-211"
name = "Town takes contacts for 211"
kind = "iga"
reference = "IGA-2026-01"
provider = "example-town"
payer = "211info"
activities = ["contact_handled", "interpreter_minute"]
rate_card = "intake"
due_days = 30
billing.every = "quarter"
billing.submit_days = 20
interest_percent = "6"
minimum = "250.00"
not_to_exceed = "90000.00"
overhead_percent = "4.5"
number_prefix = "TOWN"
purpose = "The Town answers for 211 and is paid by use."
valid_from = 2026-07-01
valid_to = 2029-07-01

[[target]]
key = "answer"
name = "Calls answered within thirty seconds"
measure = "answer_seconds"
goal = 30
credit_percent = "2"

[[funding]]
key = "language-grant"
name = "Language access grant"
kind = "grant"
percent = "40"
authorised = "12000.00"

[[discount]]
name = "Volume discount"
percent = "5"
from_amount = "20000.00"

[[signature]]
partner = "example-town"
name = "Pat Example"
title = "Town manager"
on = 2026-05-04
""",
}
"""One valid example of each file; together they are a small region (see the test)."""

_MODELS: dict[str, type[strict.Model]] = {
    **{f"tenants/<slug>/{name}": model for name, model in schema.TENANT_FILES.items()},
    **{f"policies/{name}": model for name, model in schema.POLICY_FILES.items()},
    "policies/agreements/<key>.toml": schema.AgreementFile,
}

_SAME_KEYS = {
    "policies/boundaries.toml": "Roads and areas of outside agencies.",
    "policies/articles.toml": "What the region itself answers, guides through and announces.",
    "policies/texts.toml": "What the region itself closes requests with, and answers with.",
    "policies/taxonomies.toml": "Trees of terms that all partners share, and ties between them.",
    "policies/synonyms.toml": "Synonyms that hold for the services of every partner.",
}
"""Files of the region with the keys of a partner's file of that name."""

_INTRODUCTION = """\
# Configuration

<!-- Made by `regional311 docs` from the schemas in regional311/; edit those, not this page. -->

The region is a directory of text files: one directory a partner below `tenants/`, named by its
slug, and what the partners agreed on below `policies/`. The files are TOML in UTF-8.

```
regional311 check            what is wrong in the files, all of it, without a database
regional311 plan             what applying them would change, and what was changed on both sides
regional311 apply            make the database what they say, in one transaction or not at all
regional311 export DIR       write the files from the database; planning them says: No changes.
```

What holds for every file:

- An unknown key, a number written as text, or text written as a number is an error. Every error
  names its file and its key, and all of them are shown at once.
- **Keys** are lower case letters, digits and hyphens. A key is for ever: it ties a thing in the
  file to its history. Leaving a thing out of a file ends it today; it never deletes what was.
- **Money and percentages** are text in quotes: `"4.90"`, never `4.90`.
- **Dates** are written without quotes. `valid_from` is the first day, `valid_to` the first day no
  more.
- **Nothing that was in force is overwritten.** A changed rule set, policy or agreement is a new
  version from the day it is applied. A changed price is a correction: what was known before stays
  on record.
- **Files and forms** never overwrite each other silently. A thing changed in the forms stays, and
  `export` takes it into the files; changed on both sides, it is a conflict: both are shown and
  nothing at all is applied.
- `apply --tenant SLUG --as E-MAIL` reaches one partner with that person's rights. Rules then wait
  for a second person's approval, as they do in the forms; shared costs and agreements, which two
  partners sign, are refused.

A partner with many services keeps them in one file a bureau, `services/<bureau>.toml`, in place of
`services.toml`; `export` always writes them so. Comments and the order of a file are for its
readers, and mean nothing.

Geometry lies in GeoJSON files in `boundaries/` beside `boundaries.toml`, one geometry a file, in
longitude and latitude (WGS 84). An outline that crosses itself is refused.
"""


def render() -> str:
    """Return the whole page `docs/configuration.md`."""
    return "\n".join(_page()).rstrip("\n") + "\n"


def write_reference(*, only_check: bool = False) -> Written:
    """Write the generated pages of `docs/`, or with `only_check` only compare them.

    Raises `NotCurrent` when a page differs.
    """
    text = render()
    name = f"docs/{PAGE.name}"
    current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if current != text:
        if only_check:
            raise NotCurrent(f"{name} is not current: run make docs.")
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
    return Written((name,))


def _page() -> Iterator[str]:
    yield _INTRODUCTION
    yield "## Files"
    yield ""
    yield "| file | what it says |"
    yield "| --- | --- |"
    for name, model in _MODELS.items():
        yield f"| [`{name}`](#{_anchor(name)}) | {_meaning(name, model)} |"
    for name, model in _MODELS.items():
        yield ""
        yield f"## `{name}`"
        yield ""
        yield _meaning(name, model)
        if name == "policies/region.toml":
            yield ""
            yield "The keys are those of a partner's `tenant.toml`."
        elif name in _SAME_KEYS:
            yield ""
            yield f"The keys are those of a partner's `{name.removeprefix('policies/')}`."
            if name not in EXAMPLES:
                continue
        else:
            yield from _tables(model, "")
        yield ""
        yield "```toml"
        yield EXAMPLES[name].rstrip("\n")
        yield "```"
    yield ""
    yield from _facts()


def _meaning(name: str, model: type[strict.Model]) -> str:
    if name == "policies/region.toml":
        return "The region itself: it is a tenant of its own, with a public door."
    if name in _SAME_KEYS:
        return _SAME_KEYS[name]
    text = (model.__doc__ or "").partition("\n")[0].partition(": ")[2]
    return text[:1].upper() + text[1:]


def _anchor(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum() or each in "-_")


def _tables(model: type[strict.Model], path: str) -> Iterator[str]:
    for name, info in model.model_fields.items():
        inner = table_of(model, name)
        if inner is None:
            continue
        where = f"{path}.{name}" if path else name
        many = get_origin(info.annotation) is tuple
        if inner is strict.Week and path:
            continue
        yield ""
        yield f"### `[[{where}]]`" if many else f"### `[{where}]`"
        yield ""
        yield " ".join((inner.__doc__ or "").split())
        yield ""
        yield "| key | value | needed | meaning |"
        yield "| --- | --- | --- | --- |"
        for key, each in inner.model_fields.items():
            if table_of(inner, key) in (None, strict.Week):
                yield _row(key, each)
        yield from _tables(inner, where)


def _row(key: str, info: FieldInfo) -> str:
    meaning = (info.description or "").replace("|", "\\|")
    return f"| `{key}` | {_value(info)} | {_needed(info)} | {meaning} |"


def _needed(info: FieldInfo) -> str:
    if info.is_required():
        return "yes"
    default = info.default
    if default in (None, (), PydanticUndefined):
        return "no"
    if default is False:
        return "no: false"
    if isinstance(default, tuple):
        return f"no: {', '.join(f'`{each}`' for each in default)}"
    return f"no: `{default}`"


def _value(info: FieldInfo) -> str:
    text = _type(info.annotation, info.metadata)
    bounds = {type(each): each for each in info.metadata}
    low, high = bounds.get(Ge), bounds.get(Le)
    if low is not None and high is not None:
        return f"{text}, {low.ge} to {high.le}"
    if low is not None:
        return f"{text}, {low.ge} or more"
    return text


_NAMED: tuple[tuple[Any, str], ...] = (
    (strict.Key, "key"),
    (strict.Name, "name with underscores"),
    (strict.Money, "dollars in quotes"),
    (strict.Cents, "dollars and cents in quotes"),
    (strict.SignedCents, "dollars and cents in quotes"),
    (strict.Price, "dollars and cents in quotes"),
    (strict.Reading, "number in quotes"),
    (strict.Limit, "number in quotes"),
    (strict.TargetName, "target"),
    (strict.Percent, "per cent in quotes"),
    (strict.Zone, "time zone"),
    (strict.Hours, 'span such as `"08:00-17:00"`'),
    (strict.Expression, f"CEL, at most {MAX_LENGTH} characters"),
    (strict.Phone, "telephone number"),
    (strict.WebAddress, "web address"),
    (strict.Email, "e-mail address"),
    (strict.Host, "host name"),
    (strict.Colour, "colour such as `#1a4480`"),
    (strict.Code, "ledger code"),
    (content.TermRef, "term, as `taxonomy:code`"),
    (content.TermCode, "term code"),
)


def _type(kind: Any, metadata: list[Any]) -> str:
    for named, text in _NAMED:
        inner = get_args(named)
        if kind == named or (kind == inner[0] and metadata and metadata[0] == inner[1]):
            return text
    if get_origin(kind) is tuple:
        return f"list of: {_type(get_args(kind)[0], [])}"
    if get_origin(kind) is dict:
        return "table of numbers in quotes"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(kind))
    options = [each for each in get_args(kind) if each is not type(None)]
    if hasattr(kind, "__metadata__"):
        return _type(options[0], list(kind.__metadata__))
    if options:
        return _type(options[0], metadata)
    if kind is strict.Week:
        return "hours by day, as `hours.mon = [...]`"
    longest = next((each.max_length for each in metadata if isinstance(each, MaxLen)), None)
    names = {str: "text", int: "whole number", bool: "true or false"}
    name = names.get(kind, "date")
    return f"{name}, at most {longest} characters" if longest and kind is str else name


def _facts() -> Iterator[str]:
    yield "## Facts in conditions"
    yield ""
    yield (
        "A rule's `condition` is an expression of the Common Expression Language over these facts, "
        "and nothing else: names, text, whole numbers, `true`, `false`, lists of text, "
        "`! && || == != < <= > >= in ?:`, `size()`, `contains()`, `startsWith()`, `endsWith()`."
    )
    yield ""
    yield "| fact | type | meaning |"
    yield "| --- | --- | --- |"
    for name, fact in FACTS.items():
        values = f" One of {', '.join(f'`{each}`' for each in fact.values)}." if fact.values else ""
        yield f"| `{name}` | {fact.type} | {fact.meaning}{values} |"


if __name__ == "__main__":
    sys.stdout.write(f"{write_reference()}\n")

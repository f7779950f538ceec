"""Catalogues of languages: what is to be translated, and the form in which a program reads it.

    python -m regional311.locale.catalogues            compile every regional311.po that changed
    python -m regional311.locale.catalogues update     take what the sources say now into each

`babel.cfg` beside this file names the sources whose words everybody may see. Whatever they say is
translated into every language; a test says what is missing. Staff pages are in English.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

LOCALE = Path(__file__).parent
PACKAGE = LOCALE.parent
DOMAIN = "regional311"
KEYWORDS: Mapping[str, Any] = {
    **DEFAULT_KEYWORDS,
    "pluralize": (1, 2),
    "SignInRefused": None,
    "SuggestionRefused": None,
    "TooMany": None,
    "TooManyAttempts": None,
}
"""Functions whose arguments are words for people."""


def files(suffix: str, directory: Path = LOCALE) -> list[Path]:
    """Return the catalogue of each language."""
    return sorted(directory.glob(f"*/LC_MESSAGES/{DOMAIN}.{suffix}"))


def compile_catalogues(directory: Path = LOCALE) -> list[Path]:
    """Compile each catalogue that is newer than its compiled form; return what was written."""
    written = []
    for source in files("po", directory):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        catalogue = read(source)
        draft = target.with_suffix(".new")
        with draft.open("wb") as file:
            write_mo(file, catalogue)
        draft.replace(target)
        written.append(target)
    return written


def read(path: Path) -> Catalog:
    """Read a catalogue; its language is the name of its directory."""
    with path.open("rb") as file:
        return read_po(file, locale=path.parent.parent.name, domain=DOMAIN)


def extracted() -> Catalog:
    """Return everything that is to be translated, as the sources say it now."""
    catalogue = Catalog(project=DOMAIN, charset="utf-8", fuzzy=False)
    with (LOCALE / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    found = extract_from_dir(str(PACKAGE), methods, options, keywords=KEYWORDS)
    for name, line, message, comments, context in found:
        catalogue.add(message, None, [(name, line)], auto_comments=comments, context=context)
    return catalogue


def update() -> None:
    """Take what the sources say now into each catalogue; what they no longer say goes.

    A language whose directory is empty gets a catalogue with nothing translated.
    """
    template = extracted()
    for directory in sorted(LOCALE.glob("*/LC_MESSAGES")):
        path = directory / f"{DOMAIN}.po"
        language = directory.parent.name
        catalogue = read(path) if path.exists() else Catalog(language, DOMAIN, charset="utf-8")
        catalogue.update(template, no_fuzzy_matching=True, update_creation_date=False)
        catalogue.obsolete.clear()
        with path.open("wb") as file:
            write_po(file, catalogue, width=96, sort_output=True, no_location=True)


def extract_tables(
    source: BinaryIO,
    keywords: Collection[str],  # noqa: ARG001 (what Babel calls with)
    comment_tags: Collection[str],  # noqa: ARG001
    options: Mapping[str, str],
) -> Iterator[tuple[int, str, str, list[str]]]:
    """Give the words of some tables of a module, for Babel.

    `names` are the tables, `keys` those of their entries that are wanted; left out: all. A name
    that the module does not have raises `LookupError`: its words would miss in every language.
    """
    missing = set(options["names"].split())
    names = frozenset(missing)
    wanted = options.get("keys", "").split()
    for node in ast.parse(source.read()).body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        found = {each.id for each in targets if isinstance(each, ast.Name)} & names
        if not found:
            continue
        missing -= found
        for value in _values(node.value, wanted):
            calls: list[ast.expr] = [each for each in ast.walk(value) if isinstance(each, ast.Call)]
            for part in calls or [value]:
                for each in ast.walk(part):
                    if isinstance(each, ast.Constant) and isinstance(each.value, str):
                        yield each.lineno, "_", each.value, []
    if missing:
        gone = ", ".join(sorted(missing))
        raise LookupError(f"babel.cfg names tables that are not there: {gone}")


def _values(table: ast.expr | None, wanted: Collection[str]) -> Iterator[ast.expr]:
    if not isinstance(table, ast.Dict):
        if table is not None:
            yield table
        return
    for key, value in zip(table.keys, table.values, strict=True):
        name = key.value if isinstance(key, ast.Constant) else ast.unparse(key) if key else ""
        if not wanted or name in wanted:
            yield value


if __name__ == "__main__":
    if sys.argv[1:] == ["update"]:
        update()
    for made in compile_catalogues():
        sys.stdout.write(f"{made.relative_to(PACKAGE.parent)}\n")

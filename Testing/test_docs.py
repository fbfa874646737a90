"""The pages that people read: links lead somewhere, commands and options exist, the README is short, versions agree."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import neckfrac
import pytest
import typer
from neckfrac.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "examples").glob("*.md"))
MOST_WORDS = 900


def text_of(page):
    return page.read_text(encoding="utf-8")


def anchors_of(page):
    """The headings of a page as a forge makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_to_a_file_and_a_heading_that_are_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        assert place.exists() and place.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors_of(place), target


def commands_of(page):
    """The command lines `neckfrac ...` in a page's blocks of code, without their comments."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("neckfrac "):
                yield line.split(" #")[0].strip()


def check(line):
    """Raises AssertionError for a command or an option that `neckfrac` does not have."""
    command, words = typer.main.get_command(app), shlex.split(line)[1:]
    while hasattr(command, "commands"):
        assert words and words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    given = {word.split("=")[0] for word in words if word.startswith("-") and not re.match(r"-\d", word)}
    assert given <= known | {"--help", "--debug"}, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_that_a_page_shows_exists_with_its_options(page):
    for line in commands_of(page):
        check(line)


@pytest.mark.parametrize("line", ["neckfrac analyse X", "neckfrac models", "neckfrac analyze X -o R --dicon"])
def test_a_command_that_does_not_exist_is_seen(line):
    with pytest.raises(AssertionError):
        check(line)


def test_the_pages_show_commands_at_all():
    assert len([line for page in PAGES for line in commands_of(page)]) > 40


def test_the_readme_is_short_and_says_at_once_what_not_to_rely_on():
    text = text_of(ROOT / "README.md")
    assert len(text.split()) <= MOST_WORDS
    first = text.split("## ")[0]
    assert "not a medical device" in first and "specificity" in first and "1.00 at 0.00" in first
    assert "misses both" in " ".join(first.split()) and "simulated" in first


def test_every_page_of_the_documentation_is_in_its_index():
    index = text_of(ROOT / "docs" / "README.md")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"]({name})" not in index} == set()


def test_citation_and_changes_name_the_version():
    version = re.escape(neckfrac.__version__)
    assert re.search(rf"^version: {version}$", text_of(ROOT / "CITATION.cff"), re.MULTILINE)
    assert re.search(rf"^## {version}\b", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)

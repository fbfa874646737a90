"""The list for a person with Slicer 5.12: what it quotes of the panel is what the panel says."""

import re
from xml.etree import ElementTree

from slicer_double.panel import MODULE

LIST = MODULE.parents[1] / "docs" / "slicer-checklist.md"
# Of Slicer itself: modules, menus, tools and questions; and what is no text of the panel.
OF_SLICER = {
    "View > Error log", "Edit > Application Settings > Developer", "Modules > Segmentation > NeckFrac", "No", "Yes",
    "Sample Data > NeckFrac", "Adjust window/level", "Markups", "Place multiple control points", "Data", "Transforms",
    "Failed to find subject hierarchy item", "Reload", "Right arch, Re",
}  # fmt: skip


def said():
    """All that the module can show, its forms' texts and its code's."""
    texts = [path.read_text(encoding="utf-8") for path in (MODULE / "NeckFracLib").glob("*.py")]
    for path in (MODULE / "Resources" / "UI").glob("*.ui"):
        texts += [re.sub(r"<[^>]+>", "", node.text or "") for node in ElementTree.parse(path).iter("string")]
    engine = MODULE.parents[1] / "NeckFracExtension" / "neckfrac" / "output"
    texts += [(engine / name).read_text(encoding="utf-8") for name in ("hierarchy.py", "outputs.py")]
    # Texts that the code joins: pieces in a row are one, and names are put in for braces.
    return re.sub(r'"\s*\n\s*"', "", "\n".join(texts))


def test_what_the_checklist_quotes_is_what_the_panel_says():
    quoted = set(re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", LIST.read_text(encoding="utf-8")))
    assert len(quoted) > 40 and quoted >= OF_SLICER
    texts = said()
    parts = {"New: segmentation, table and boxes, heat map.": ("New: {names}.", "segmentation", "table and boxes")}
    for quote in quoted - OF_SLICER:
        for part in parts.get(quote, (quote,)):
            assert part in texts, quote


def test_its_steps_are_counted_and_each_says_what_must_be_seen():
    rows = re.findall(r"^\| (\d+) \| (.+) \| (.+) \|$", LIST.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, len(rows) + 1))
    assert len(rows) > 25 and all(len(do) > 8 and len(see) > 20 for _, do, see in rows)

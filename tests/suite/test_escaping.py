"""What a stranger's text becomes in each medium, as read by other programs' readers of it."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from html.parser import HTMLParser

import matplotlib.cbook
import matplotlib.figure
import matplotlib.text
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console
from rich.table import Table
from rich.text import Text

from understudy.suite import escaping, registry
from understudy.suite.errors import InputError

HOSTILE = (
    "[red]bold[/red] :smile:",
    "\x1b[31mred\x1b[0m\x07\x9b1m",
    "abc\u202egpj.exe\u2066\u200f",
    "a|b\nc\r\n| d |\u2028e",
    "<script>alert(1)</script> &lt; &amp; <b a='1'>",
    "**bold** _it_ ~~gone~~ `code` ![i](http://x.y) [l](javascript:1) <http://a.b>",
    "# head", "- item", "+ item", "1. item", "2) item", "> quote", "=====", "---", "    code", "```",
    "$x_1^2$ and $$", "\\$5 \\", "_hidden", "=1+1", "-1", "+1", "@SUM(A1)", "\t=1", " =1", "＝1", "", " ",
    "https://a.b/c www.example.com", "\udcff\ud800", "caf\u00e9 \u4e2d\u6587 \U0001f600",
)  # fmt: skip
texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=30),
    st.text(alphabet="[]()<>|\\`*_~$&#+-=>!.:/ \n\r\tabw1\x1b\u202e", max_size=20),
)


def plain(text: str) -> str:
    """Return what a reader should see: one line, whatever cannot be printed by its number."""
    words = " ".join(text.split())
    return "".join(char if _is_shown(char) else char.encode("unicode_escape").decode() for char in words)


def _is_shown(char: str) -> bool:
    return char == " " or unicodedata.category(char)[0] not in "CZ"


# Terminal


@given(texts)
def test_a_terminal_gets_one_line_without_control_characters(text):
    shown = escaping.terminal(text)
    assert all(_is_shown(char) for char in shown)
    if all(_is_shown(char) for char in text):
        assert shown == text
    assert shown.encode("utf-8").decode("utf-8") == shown  # no lone surrogate


def test_what_a_terminal_cannot_show_is_spelled_out():
    assert escaping.terminal("a\x1b[2Jb\u202ec\nd\x9b\udcff") == "a\\x1b[2Jb\\u202ec\\nd\\x9b\\udcff"


@given(texts)
def test_rich_shows_the_text_and_reads_no_markup_in_it(text):
    console = Console(width=400, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    table = Table(box=None, show_header=False)
    table.add_row(Text(escaping.terminal(text)))
    with console.capture() as captured:
        console.print(table)
    (line,) = captured.get().splitlines() or [""]
    assert line.strip() == escaping.terminal(text).strip()


# Markdown

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def shown_text(tokens):
    return "".join("\n" if each.type == "softbreak" else each.content for each in tokens)


@given(texts)
@example("1. item")
def test_markdown_of_a_list_item_is_the_text(text):
    kinds = MARKDOWN.parse(f"- {escaping.markdown(text)}\n- end")
    assert [each.type for each in kinds if each.type != "inline"] == [
        "bullet_list_open",
        *(
            ["list_item_open", "list_item_close"]
            if not plain(text)
            else ["list_item_open", "paragraph_open", "paragraph_close", "list_item_close"]
        ),
        *("list_item_open", "paragraph_open", "paragraph_close", "list_item_close"),
        "bullet_list_close",
    ]
    inlines = [each for each in kinds if each.type == "inline"][:-1]
    for inline in inlines:
        assert {each.type for each in inline.children} <= {"text", "text_special"}
    assert "".join(shown_text(inline.children) for inline in inlines) == plain(text)


@given(texts, texts)
def test_markdown_of_a_cell_stays_in_its_cell(one, other):
    table = f"| a | b |\n| --- | --- |\n| {escaping.markdown(one)} | {escaping.markdown(other)} |\n"
    tokens = MARKDOWN.parse(table)
    cells = [tokens[place + 1] for place, each in enumerate(tokens) if each.type == "td_open"]
    assert [shown_text(cell.children) for cell in cells] == [plain(one), plain(other)]
    assert {each.type for cell in cells for each in cell.children} <= {"text", "text_special"}


@pytest.mark.parametrize("address", ["https://a.b", "www.example.com", "WWW.Example.com", "ftp://x"])
def test_a_bare_address_is_broken_for_github_but_not_for_the_reader(address):
    """GitHub links what begins with www. or has :// in the source."""
    escaped = escaping.markdown(address)
    assert "://" not in escaped
    assert "www." not in escaped.lower()
    (inline,) = (each for each in MARKDOWN.parse(escaped) if each.type == "inline")
    assert shown_text(inline.children) == address


def test_a_dollar_is_no_formula_of_github():
    assert escaping.markdown("$x$") == "\\$x\\$"


# HTML


class Reader(HTMLParser):
    """Collects the text, tags and attributes of a page."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.text, self.tags = "", []

    def handle_data(self, data):
        self.text += data

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))


@given(texts)
def test_html_of_an_element_and_of_an_attribute_is_the_text(text):
    reader = Reader()
    escaped = escaping.html(text)
    reader.feed(f"""<p title="{escaped}" lang='{escaped}'>{escaped}</p>""")
    reader.close()
    assert reader.tags == [("p", [("title", plain(text)), ("lang", plain(text))])]
    assert reader.text == plain(text)


# Figures


@given(texts)
def test_a_figures_text_is_no_formula(text):
    shown, is_math = matplotlib.text.Text(text="")._preprocess_math(escaping.mathtext(text))
    assert not is_math
    assert shown.removeprefix(" ") == plain(text)
    assert not matplotlib.cbook.is_math_text(escaping.mathtext(text))


@pytest.mark.parametrize("text", ["$x_1$", "$\\frac{$", "_hidden", "a < b & c", "\x1b[31m", "\udcff"])
def test_a_name_is_in_the_legend_of_an_svg_file(text):
    import xml.etree.ElementTree as ElementTree

    from understudy.leaderboard.figures import printing

    figure = matplotlib.figure.Figure()
    axes = figure.subplots()
    axes.plot([0, 1], label=escaping.mathtext(text))
    axes.legend()
    root = ElementTree.fromstring(printing.picture(figure, ".svg"))
    written = [(each.text or "").strip() for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert plain(text) in written


# CSV


@given(st.lists(texts, min_size=1, max_size=4))
def test_a_csv_cell_is_one_cell_and_no_formula(cells):
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow([escaping.csv_text(cell) for cell in cells])
    (line,) = csv.reader(io.StringIO(file.getvalue()))
    for found, text in zip(line, cells, strict=True):
        spelled = "".join(c if _is_shown(c) else c.encode("unicode_escape").decode() for c in text)
        assert found in (spelled, f"'{spelled}")
        assert found.strip()[:1] not in tuple("=+-@＝＋－＠\t\r\n")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "=cmd|'/C calc'!A0"]
)
def test_a_formula_gets_an_apostrophe(text):
    assert escaping.csv_text(text).startswith("'")


@pytest.mark.parametrize("text", ["bc", "a=b", "0.5", "x-1", "", "'quoted"])
def test_other_text_of_a_csv_file_is_kept(text):
    assert escaping.csv_text(text) == text


# LaTeX

TEX = re.compile(r"\\(?:text(\w+)\{\}|([&%$#_{}]))|(\{\})|('')|([^\\&%$#_{}~^`<>|\"])")
SYMBOLS = {
    "backslash": "\\",
    "asciitilde": "~",
    "asciicircum": "^",
    "asciigrave": "`",
    "less": "<",
    "greater": ">",
    "bar": "|",
}


def typeset(source: str) -> str:
    """Return what TeX would print of text without commands of a document; fail on any other source."""
    found, place = "", 0
    while place < len(source):
        match = TEX.match(source, place)
        assert match, f"TeX would read {source[place:]!r} as more than text"
        symbol, char, group, quote, letter = match.groups()
        found += SYMBOLS[symbol] if symbol else char or ("" if group else '"' if quote else letter)
        place = match.end()
    return found


@given(texts)
@example("\\end{tabular}")
@example("a & b \\\\ [2cm]")
@example("100 % of $5_1^2 {~} #1")
@example("[2cm] *")
@example("a--b---c")
def test_latex_prints_the_text(text):
    source = escaping.latex(text)
    assert typeset(source) == plain(text).replace("''", '"')
    assert "--" not in source  # two hyphens would be printed as one dash
    assert source[:1] not in ("[", "*")  # an option of the line's end before


def test_latex_by_hand():
    assert escaping.latex("a_b & 5 % of $x$ \\ {~}") == (
        r"a\_b \& 5 \% of \$x\$ \textbackslash{} \{\textasciitilde{}\}"
    )
    assert escaping.latex("--[") == "-{}-["


def test_a_text_without_end_is_shown_in_part():
    assert escaping.shortened("a" * 120) == "a" * 120
    assert escaping.shortened("é" * 1_234_567, 5) == "ééééé... (1,234,567 characters)"


def test_an_unknown_name_without_end_is_refused_at_once():
    """The search for the nearest name takes time with the square of its length."""
    with pytest.raises(
        InputError, match=r"^unknown thing 'a{120}\.\.\. \(1,000,000 characters\)'; known: b$"
    ):
        registry.choose("a" * 1_000_000, ["b"], "thing")

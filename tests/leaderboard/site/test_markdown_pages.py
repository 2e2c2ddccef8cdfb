"""Pages of the documentation in the site: anchors as GitHub makes them, links that lead somewhere."""

import pytest

from understudy.leaderboard.site import markdown_pages


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("normalised gain", "normalised-gain"),
        ("watched moves (W)", "watched-moves-w"),
        ("end above the teacher's start", "end-above-the-teachers-start"),
        ("H50", "h50"),
    ],
)
def test_anchors_by_hand(heading, anchor):
    assert markdown_pages.anchor(heading) == anchor
    assert f'id="{anchor}"' in markdown_pages.to_html(f"### {heading}\n", [])


def test_links_to_pages_of_the_site_stay_and_others_become_text():
    text = "[a](protocol.md#rounds) [b](teachers.md) [c](https://example.org/x) [d](#here)\n"
    html = markdown_pages.to_html(text, ["protocol.md"])
    assert '<a href="protocol.html#rounds">a</a>' in html
    assert "teachers" not in html
    assert '<a href="https://example.org/x">c</a>' in html
    assert '<a href="#here">d</a>' in html


def test_markup_in_a_page_is_shown_as_text():
    assert "<script>" not in markdown_pages.to_html("<script>x</script>\n", [])

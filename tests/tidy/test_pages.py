"""Pages before their scripts have run."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from tree import ROOT

WEB = ROOT / "edge/console/web"
PAGES = sorted(WEB.rglob("*.html"))
VOID = {"br", "hr", "img", "input", "link", "meta", "source", "wbr"}


class _Buttons(HTMLParser):
    """The buttons that send a form to a script and can be pressed at once."""

    def __init__(self) -> None:
        super().__init__()
        self._inside: list[tuple[str, bool, bool]] = []
        """Of each element: its name, whether it is not shown, whether the browser sends it by itself."""
        self.early: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what is open."""
        has = dict(attrs)
        if tag == "button" and has.get("type") == "submit" and "disabled" not in has and not any(one[1] or one[2] for one in self._inside):
            self.early.append(self.get_starttag_text() or tag)
        if tag not in VOID:
            self._inside.append((tag, "hidden" in has or tag == "dialog", tag == "form" and "action" in has))

    def handle_endtag(self, tag: str) -> None:
        """Forget it."""
        while self._inside and self._inside.pop()[0] != tag:
            pass


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(WEB)) for page in PAGES])
def test_no_button_can_be_pressed_before_the_script_hears_it(page: Path) -> None:
    """A press before would be lost. Each script enables its button once it listens."""
    buttons = _Buttons()
    buttons.feed(page.read_text())
    assert buttons.early == []

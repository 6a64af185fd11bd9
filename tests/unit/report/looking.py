"""Reads a page back: its elements, its words, and what in it could act or reach out."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Look(HTMLParser):
    """Elements with their attributes in order, text outside style, and nesting faults."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[tuple[str, str], ...]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.faults: list[str] = []
        self.feed(html)
        self.close()
        self.faults += [f"never closed: {tag}" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple((name, value or "") for name, value in attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, tuple((name, value or "") for name, value in attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"closes {tag} inside {self.open[-1:]}")
        else:
            self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Every element with the names of its attributes: what no string may change."""
        return [(tag, tuple(name for name, _ in attributes)) for tag, attributes in self.elements]


def dangers(look: Look) -> list[str]:
    """Everything in a page that runs, loads or leads elsewhere; empty for an inert one."""
    found = []
    for tag, attributes in look.elements:
        if tag in {"script", "iframe", "object", "embed", "base", "form", "img", "audio", "video"}:
            found.append(f"<{tag}>")
        for name, value in attributes:
            if name.startswith("on") or name in {"style", "srcdoc", "action", "formaction"}:
                found.append(f"{tag} {name}")
            icon = tag == "link" and value.startswith("data:image/svg+xml;base64,")
            if name in {"href", "src", "srcset", "xlink:href"} and not (
                value.startswith("#") or icon
            ):
                found.append(f"{tag} {name}={value}")
            shown = name in {"aria-label", "title"}  # text by another name
            if not shown and ("://" in value or "javascript:" in value.lower()):
                found.append(f"{tag} {name}={value}")
    return found

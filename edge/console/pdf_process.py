"""A document as PDF, in a process of its own: JSON on stdin, PDF on stdout; `python -m edge.console.pdf_process`. Used by edge.console.pdf.

Typst sets it: tagged (PDF/UA-1), text that can be selected and searched, the fonts of its package, the same bytes for the same document. What is in
the document reaches the template as data and is never markup.

    {"title": ..., "subtitle": ..., "banner": ..., "digest": ..., "parts": [{"title": ..., "facts": [[name, text], ...], "items": [...], "text": ...,
     "table": {"head": [...], "rows": [[...], ...]}}, ...]}
"""

import json
import os
import re
import resource
import sys
from typing import Any, Final, Literal

import typst

NICENESS: Final = 10
MEMORY_BYTES_MAX: Final = 1 << 30
_TEMPLATE: Final = rb"""
#let it = json(bytes(sys.inputs.document))
#set document(title: it.title, author: "Open Outcry", date: none)
#set page(paper: "a4", margin: (x: 1.8cm, y: 2cm), footer: context text(size: 7.5pt)[SHA-256 of the content: #it.digest #h(1fr) #counter(page).display("1 / 1", both: true)])
#set text(size: 9.5pt, lang: "en", hyphenate: false)
#set par(justify: false)
#set heading(numbering: none)
#show heading: set block(above: 1.2em, below: .7em)
#title()
#if it.subtitle != "" [ #par(it.subtitle) ]
#if it.banner != "" [ #block(stroke: 1pt, inset: 6pt, strong(it.banner)) ]
#for part in it.parts [
  #heading(level: 1, part.title)
  #if part.facts.len() > 0 [ #terms(..part.facts.map(one => terms.item(one.at(0), one.at(1)))) ]
  #if part.items.len() > 0 [ #enum(..part.items.map(one => enum.item(one))) ]
  #for line in part.text.split("\n") [ #if line.trim() != "" [ #par(line) ] ]
  #if part.table.rows.len() > 0 [
    #set text(size: 7.5pt)
    #table(
      columns: part.table.head.len(), inset: 3pt, stroke: .4pt + gray,
      table.header(..part.table.head.map(one => strong(one))), ..part.table.rows.flatten(),
    )
  ]
]
"""
_LONG: Final = re.compile(r"(\S{40})(?=\S)")
"""What has no place to be broken gets one."""
_NOT_IN_THE_FONTS: Final = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u052f\u1e00-\u1fff\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2100-\u22ff\u25a0-\u25ff]"
)


def shown(value: Any) -> Any:
    """Every text of a document with characters that the fonts have not by their number, such as [U+6F22]: nothing is lost unseen."""
    if isinstance(value, str):
        return _LONG.sub("\\1\u200b", _NOT_IN_THE_FONTS.sub(lambda found: f"[U+{ord(found[0]):04X}]", value))
    if isinstance(value, list):
        return [shown(one) for one in value]
    return {name: shown(one) for name, one in value.items()} if isinstance(value, dict) else value


def pdf_of(document: dict[str, Any]) -> bytes:
    """The PDF. Where a text still has what the fonts have not, it is tagged all the same and does not call itself PDF/UA-1."""
    inputs = {"document": json.dumps(shown(document))}
    attempts: tuple[Literal["ua-1"] | None, ...] = ("ua-1", None)
    for standards in attempts:
        try:
            made = typst.compile(_TEMPLATE, format="pdf", sys_inputs=inputs, ignore_system_fonts=True, pdf_standards=standards, timestamp=0)
        except typst.TypstError:
            if standards is None:
                raise
        else:
            return made
    raise AssertionError


if __name__ == "__main__":
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    sys.stdout.buffer.write(pdf_of(json.load(sys.stdin.buffer)))

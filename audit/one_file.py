"""The verifier as one file that strangers can read and run: the modules that check, one behind the other, without their imports of one another."""

import ast
from importlib.metadata import version
from importlib.resources import files
from typing import Final

PARTS: Final = ("findings", "tree", "notes", "policy", "proofs", "tiles", "whole_log", "verifier")
"""Each needs only those before it."""


def one_file() -> str:
    """Its text. The same for the same version."""
    imports: list[str] = []
    bodies = []
    head = ""
    for name in PARTS:
        source = (files("audit") / f"{name}.py").read_text()
        lines, tree = source.split("\n"), ast.parse(source)
        about = ast.get_docstring(tree, clean=False) or ""
        dropped = [tree.body[0]]
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                dropped.append(node)
                if not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("audit.")):
                    imports.append(ast.unparse(node))
        for node in dropped:
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - node.lineno + 1)
        if name == PARTS[-1]:
            head = about
            about = "The command line."
        body = "\n".join(lines).strip("\n")
        said = "\n".join(f"# {line}".rstrip() for line in about.strip().split("\n"))
        bodies.append(f"# ---- {name}\n\n{said}\n\n\n{body}\n")
    made = f'"""{head.rstrip()}\n\nMade of Open Outcry {version("open-outcry")} by `outcry audit verifier`; the exchange and its witness check with the same code.\n"""'
    return f"{made}\n\n" + "\n".join(sorted(set(imports))) + "\n\n\n" + "\n\n".join(bodies)

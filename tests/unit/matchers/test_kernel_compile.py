"""The stamp of compiled kernels follows every source that can be compiled into them, wherever it is; one that cannot be followed is refused."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from matchers.compiled.compilation import UnknownSource, frame_schemas, imported_sources, source_digest
from schemas.codec import FRAME_NAMES

ROOT = Path(__file__).parents[3]
KERNELS = sorted(
    f"matchers.{path.relative_to(ROOT / 'matchers').with_suffix('').as_posix().replace('/', '.')}"
    for path in (ROOT / "matchers").rglob("*.py")
    if "\n@kernel\n" in path.read_text()
)

NESTED = {
    "matchers/__init__.py": "",
    "matchers/compiled/compilation.py": (ROOT / "matchers/compiled/compilation.py").read_text(),
    "matchers/books/__init__.py": "from matchers.books.words import SIDES",
    "matchers/books/words.py": "SIDES = 2",
    "matchers/books/kernel/__init__.py": "",
    "matchers/books/kernel/entry.py": """
        import matchers.books.kernel.imported_by_name
        from matchers.books import SIDES  # a name of the package
        from matchers.books.kernel import module_in_package  # a module of the package
        from matchers.books.kernel.name_of_module import LIMIT  # a name of a module
        from . import beside
        from .below_dot import NAME
        from ..above import other
        from schemas.avro import words
        def late():
            from matchers.books.kernel.late_import import RULE
        """,
    "matchers/books/kernel/imported_by_name.py": "import matchers.books.kernel.second_hand as short",
    "matchers/books/kernel/second_hand.py": "",
    "matchers/books/kernel/module_in_package.py": "",
    "matchers/books/kernel/name_of_module.py": "LIMIT = 1",
    "matchers/books/kernel/beside.py": "",
    "matchers/books/kernel/below_dot.py": "NAME = 1",
    "matchers/books/kernel/late_import.py": "RULE = 1",
    "matchers/books/above/__init__.py": "from .other import *",
    "matchers/books/above/other.py": "",
    "schemas/__init__.py": "",
    "schemas/avro/__init__.py": "",
    "schemas/avro/words.py": "",
    "schemas/avro/frames/one_frame.avsc": "{}",
}
UNRELATED = {
    "schemas/avro/a_record.avsc": "{}",
    "matchers/books/kernel/unrelated.py": "",
    "matchers/accounts/__init__.py": "",
    "matchers/accounts/entry.py": "",
}


def lay_out(home: Path) -> None:
    """The nested packages below `home`."""
    for name, text in (NESTED | UNRELATED).items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))


def run(home: Path, program: str) -> str:
    """What a program says that imports the copy, not the installed packages."""
    done = subprocess.run([sys.executable, "-c", dedent(program)], cwd=home, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_edit_of_any_nested_source_is_another_stamp(tmp_path: Path) -> None:
    """Modules, names of modules, packages, relative and second-hand imports, schemas of frames: each is edited alone.

    What is not imported does not count, and neither does the schema of a record that is no frame.
    """
    lay_out(tmp_path)
    edit_each = f"""
        import json
        from pathlib import Path
        from matchers.compiled.compilation import source_digest

        def stamp():
            source_digest.cache_clear()
            return source_digest("matchers.books.kernel.entry")

        first, changed = stamp(), []
        for name in {[*NESTED, *UNRELATED]!r}:
            text = Path(name).read_text()
            Path(name).write_text(text + "\\n# edited")
            if stamp() != first:
                changed.append(name)
            Path(name).write_text(text)
        assert stamp() == first
        print(json.dumps(changed))
    """
    assert set(json.loads(run(tmp_path, edit_each))) == NESTED.keys() - {"matchers/compiled/compilation.py"}


def test_two_sources_that_change_places_are_another_stamp(tmp_path: Path) -> None:
    """Paths count, not only bare names and what all files together say."""
    lay_out(tmp_path)
    say = "from matchers.compiled.compilation import source_digest; print(source_digest('matchers.books.kernel.entry'))"
    (tmp_path / "matchers/books/__init__.py").write_text("A = 1")
    (tmp_path / "matchers/books/above/__init__.py").write_text("A = 2")
    first = run(tmp_path, say)
    (tmp_path / "matchers/books/__init__.py").write_text("A = 2")
    (tmp_path / "matchers/books/above/__init__.py").write_text("A = 1")
    assert run(tmp_path, say) != first


@pytest.mark.parametrize(
    ("module", "source", "why"),
    [
        ("surveillance.trading_watch", None, "surveillance.trading_watch has kernels, and is in none of matchers, schemas"),
        ("matchers.no_such_module", None, "no source of matchers.no_such_module"),
        ("matchers.books.kernel.entry", "import matchers.books.gone", "no source of matchers.books.gone for matchers.books.kernel.entry"),
        ("matchers.books.kernel.entry", "from .gone import NAME", "no source of matchers.books.kernel.gone"),
        ("matchers.books.kernel.entry", "import matchers.bare.module", "no source of matchers.bare for matchers.bare.module"),
    ],
)
def test_a_source_that_cannot_be_found_is_refused(tmp_path: Path, module: str, source: str | None, why: str) -> None:
    """A stamp that does not cover it would let old rules run."""
    lay_out(tmp_path)
    (tmp_path / "matchers/bare").mkdir()
    (tmp_path / "matchers/bare/module.py").touch()
    if source is not None:
        (tmp_path / "matchers/books/kernel/entry.py").write_text(source)
    said = run(
        tmp_path,
        f"""
        from matchers.compiled.compilation import UnknownSource, source_digest
        try:
            print(source_digest({module!r}))
        except UnknownSource as error:
            print(error)
        """,
    )
    assert why in said


def test_schemas_that_cannot_be_found_are_refused(tmp_path: Path) -> None:
    """A glob that matches nothing is no digest of nothing."""
    lay_out(tmp_path)
    (tmp_path / "schemas/avro/frames/one_frame.avsc").unlink()
    with pytest.raises(AssertionError, match="has no schemas of frames"):
        run(tmp_path, "from matchers.compiled.compilation import source_digest; source_digest('matchers.books.kernel.entry')")


def test_the_stamp_covers_every_frame_and_no_other_record() -> None:
    """By the codec's word for what a frame is."""
    assert {Path(place).stem for place in frame_schemas()} == set(FRAME_NAMES)


@pytest.mark.parametrize("module", KERNELS)
def test_rules_take_nothing_of_other_records_from_the_codec(module: str) -> None:
    """The stamp leaves their schemas out, so no kernel may be made from one: of the codec, only rows of frames are imported."""
    for place, path in imported_sources(module).items():
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Import) and any(one.name == "schemas.codec" for one in node.names)), place
            if isinstance(node, ast.ImportFrom) and node.module == "schemas.codec":
                assert {one.name for one in node.names} <= {"FRAMES", "Rows"}, place


def test_every_kernel_is_known_here() -> None:
    """The tests below go through all modules that have one."""
    assert len(KERNELS) >= 5


@pytest.mark.parametrize("module", KERNELS)
def test_the_stamp_covers_what_the_module_really_imports(module: str) -> None:
    """Python's own word: whatever of ours is loaded when the module is, is in the set, the module itself first of all."""
    program = f"""
        import json, sys, {module}
        ours = [one.__file__ for name, one in sys.modules.items() if name.partition(".")[0] in ("matchers", "schemas", "topics", "streams")]
        print(json.dumps(ours))
    """
    loaded = {Path(path).relative_to(ROOT).as_posix() for path in json.loads(run(ROOT, program))}
    stamped = imported_sources(module)
    assert f"{module.replace('.', '/')}.py" in stamped
    assert loaded - {"schemas/__init__.py"} <= stamped.keys()  # that one may be loaded by the stamp itself, which looks for schemas


def test_kernels_with_numbas_own_stamp_import_nothing_of_ours() -> None:
    """It looks at the file of the function only, so there must be nothing else to look at."""
    found = []
    for package in ("schemas", "topics", "matchers", "surveillance", "sinks", "edge", "streams"):
        for path in (ROOT / package).rglob("*.py"):
            if "njit(cache=True" in (text := path.read_text()) and path.name != "compilation.py":
                found.append(path.name)
                imported = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)} | {
                    one.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for one in node.names
                }
                assert imported <= {"collections.abc", "typing", "numba", "numpy"}, path
    assert sorted(found) == ["columns.py", "page_copies.py"]


def test_an_unknown_module_is_refused_here_too() -> None:
    """Not only in the copies."""
    with pytest.raises(UnknownSource, match="no source of matchers.nothing"):
        source_digest("matchers.nothing")

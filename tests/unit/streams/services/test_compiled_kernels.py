"""The note that saves a set three seconds of looking for kernels to compile."""

from pathlib import Path

import pytest

from schemas.settings import Settings
from streams.services import compiled_kernels
from streams.services.compiled_kernels import are_compiled, note_compiled


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Made-up packages with a compiled kernel, and the note of it."""
    for path in ("matchers/rules.py", "matchers/__pycache__/rules.nbi", "schemas/frame.avsc"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("one")
    monkeypatch.setattr(compiled_kernels, "_root", lambda: tmp_path)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    note_compiled(settings(tmp_path))
    return tmp_path


def settings(folder: Path) -> Settings:
    """With a cache in this folder."""
    return Settings(home=folder / "home", cache=folder / "cache")


def test_what_was_noted_is_compiled(installed: Path) -> None:
    """Until something changes."""
    assert are_compiled(settings(installed))


@pytest.mark.parametrize("path", ["matchers/rules.py", "matchers/__pycache__/rules.nbi", "schemas/frame.avsc", "matchers/new.py"])
def test_a_changed_or_new_file_of_the_sources_or_of_the_cache_is_not(installed: Path, path: str) -> None:
    """Numba may still find that it changes no kernel."""
    (installed / path).write_text("another")
    assert not are_compiled(settings(installed))


@pytest.mark.parametrize("path", ["matchers/rules.py", "matchers/__pycache__/rules.nbi"])
def test_neither_is_one_with_a_file_less(installed: Path, path: str) -> None:
    """Without any compiled file nothing can be noted at all."""
    (installed / path).unlink()
    assert not are_compiled(settings(installed))
    note_compiled(settings(installed))
    assert are_compiled(settings(installed)) == (path == "matchers/rules.py")


def test_nor_one_of_another_numba_or_another_processor(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code is made by one for the other."""
    with monkeypatch.context() as other:
        other.setattr(compiled_kernels, "version", lambda _: "0.1")
        assert not are_compiled(settings(installed))
    with monkeypatch.context() as other:
        other.setattr(compiled_kernels, "_processor", lambda: "another")
        assert not are_compiled(settings(installed))
    assert are_compiled(settings(installed))


def test_without_a_note_nothing_is_known(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As on a machine on which nothing has run."""
    assert not are_compiled(settings(tmp_path_factory.mktemp("other")))

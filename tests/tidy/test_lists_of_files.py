"""Every list and glob of files in the project finds what it is for: none misses a file that git has, none has come to match nothing."""

import re
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path, PurePosixPath

import pytest
from tree import PACKAGES, PROJECT, ROOT, of_packages, tracked

from matchers.compiled.compilation import imported_sources
from schemas.codec import FRAME_NAMES, RECORD_NAMES
from streams.services.recipes.elasticsearch import JAVA_SOURCES
from topics.catalogue import TOPICS

TOOLS = PROJECT["tool"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Paths in the wheel that is built from what git has, and from nothing else that lies about."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in tracked():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, source / path)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(out)!r})"
    done = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        return frozenset(archive.namelist())


def test_the_wheel_has_every_module_and_data_file_and_nothing_else(wheel):
    """A user who installs it has what a clone has; tests stay here."""
    inside = {path for path in wheel if ".dist-info/" not in path}
    assert inside == of_packages()


def test_every_glob_of_package_data_finds_a_file():
    """One that finds none is left from a move."""
    for package, patterns in TOOLS["setuptools"]["package-data"].items():
        for pattern in patterns:
            assert list((ROOT / package.replace(".", "/")).glob(pattern)), f"{package}: {pattern}"


def test_every_folder_of_modules_is_a_package():
    """Without an __init__.py neither the wheel, nor mypy, nor the stamp of the kernels would look into it."""
    modules = [PurePosixPath(path) for path in of_packages() if path.endswith(".py")]
    assert modules
    for path in modules:
        for folder in path.parents[:-1]:
            assert f"{folder}/__init__.py" in of_packages(), f"{path} is in no package"


def test_every_list_of_the_packages_is_the_same():
    """Discovery, types, architecture, image and what git has."""
    with_modules = {path.partition("/")[0] for path in tracked() if path.endswith(".py") and "/" in path}
    assert with_modules - {"tests", "docs"} == set(PACKAGES)
    assert {f"{package}*" for package in PACKAGES} == set(TOOLS["setuptools"]["packages"]["find"]["include"])
    assert set(TOOLS["mypy"]["packages"]) == set(PACKAGES)
    layers = TOOLS["importlinter"]["contracts"][0]["layers"]
    assert {package for layer in layers for package in layer.split(" | ")} == set(PACKAGES)
    assert set(TOOLS["coverage"]["run"]["source_pkgs"]) == set(PACKAGES)
    in_site = re.findall(r'^    "(\w+)": "', (ROOT / "docs" / "site_pages.py").read_text(), re.MULTILINE)
    assert set(in_site) == set(PACKAGES)
    assert {f"api/{package}.md" for package in PACKAGES} <= set(
        re.findall(r"^      - (api/\w+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    )
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    assert set(copied) == set(PACKAGES)


def test_every_rule_for_some_files_is_for_some_files():
    """Per-file ignores, overrides of mypy for our own modules, folders of the tests."""
    for pattern in TOOLS["ruff"]["lint"]["per-file-ignores"]:
        assert [path for path in tracked() if fnmatch(path, pattern.replace("**", "*"))], f"per-file-ignores: {pattern}"
    modules = {path.removesuffix(".py").replace("/", ".") for path in of_packages() if path.endswith(".py")}
    for override in TOOLS["mypy"]["overrides"]:
        for pattern in override["module"]:
            if pattern.partition(".")[0] in PACKAGES:
                assert [module for module in modules if fnmatch(module, pattern)], f"mypy: {pattern}"
    pytest_options = TOOLS["pytest"]["ini_options"]
    for folder in (*pytest_options["testpaths"], *pytest_options["pythonpath"]):
        assert [path for path in tracked() if path.startswith(f"{folder}/")], f"pytest: {folder}"


def test_the_layer_without_input_and_output_is_of_modules_that_are_there():
    """import-linter says so too; here it costs nothing."""
    (contract,) = [one for one in TOOLS["importlinter"]["contracts"] if "core does no input" in one["name"]]
    for name in contract["source_modules"]:
        path = name.replace(".", "/")
        assert {f"{path}.py", f"{path}/__init__.py"} & of_packages(), name


def test_every_schema_has_a_file_and_every_file_is_a_schema():
    """The catalogue of topics says which records there are; the codec names the frames, and takes what else has a file."""
    names = {Path(path).stem for path in of_packages() if path.endswith(".avsc")}
    assert names == {*FRAME_NAMES, *RECORD_NAMES} == {name for topic in TOPICS for name in topic.schemas}
    assert {Path(str(path)).stem for path in Path(str(files("schemas"))).rglob("*.avsc")} == names


def test_the_sources_of_elasticsearchs_launcher_are_found():
    """Their digest decides whether the launcher is compiled anew: of no files it would never change."""
    found = {path.relative_to(ROOT).as_posix() for path in JAVA_SOURCES.glob("*.java")}
    assert found
    assert found == {path for path in of_packages() if path.endswith(".java")}


def test_every_folder_of_tests_has_tests_that_pytest_finds():
    """A file that is not called test_*.py, or a function that is in none, is never run."""
    for path in tracked():
        if path.startswith("tests/") and path.endswith(".py") and not PurePosixPath(path).name.startswith("test_"):
            assert not re.search(r"^(async )?def test_", (ROOT / path).read_text(), re.MULTILINE), f"{path} has tests"


def test_every_source_of_kernels_is_in_the_stamp_of_some_kernel():
    """One that a move has cut off would be compiled in by nobody, or by somebody whose stamp does not know it."""
    sources = {path for path in of_packages() if path.startswith("matchers/") and "kernel" in path}
    entries = [path for path in sources if "\n@kernel\n" in (ROOT / path).read_text()]
    reached = {place for entry in entries for place in imported_sources(entry.removesuffix(".py").replace("/", "."))}
    assert sources
    assert sources <= reached

"""The files around the book agree with each other."""

import importlib
import re
import tomllib
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import mmrec_tf

ROOT = Path(__file__).resolve().parents[1]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def requirements(name):
    """Return the requirements of a file by lower-case name, comments and markers' lines apart."""
    lines = (re.sub(r"\s*#.*", "", line) for line in read(name).splitlines())
    parsed = [Requirement(line) for line in lines if re.match(r"[A-Za-z]", line)]
    return [(requirement.name.lower(), requirement) for requirement in parsed]


def pins():
    """Return the specifiers that constraints.txt gives a package, one for each marker, by name."""
    found = {}
    for name, requirement in requirements("constraints.txt"):
        found.setdefault(name, []).extend(requirement.specifier)
    return found


def test_constraints_are_compiled_from_the_requirements():
    pinned = pins()
    for name, requirement in requirements("requirements.txt"):
        assert name in pinned, f"{name} is not in constraints.txt; run `make constraints`"
        for pin in pinned[name]:
            assert pin.operator == "=="
            assert requirement.specifier.contains(pin.version), (
                f"constraints.txt pins {name} {pin.version}, requirements.txt asks for "
                f"{requirement.specifier}; run `make constraints`"
            )


def test_what_is_pinned_fits_together():
    """Each pinned package that is installed asks only for what the other pins give it."""
    pinned = pins()
    for name in pinned:
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # for another platform
            continue
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                versions = [pin.version for pin in pinned.get(need.name.lower(), [])]
                fitting = [need.specifier.contains(v, prereleases=True) for v in versions]
                assert not versions or any(fitting), (
                    f"constraints.txt: {name} needs {need}, pinned is {versions}; run "
                    "`make constraints`"
                )


def test_every_requirement_says_why():
    for line in read("requirements.txt").splitlines():
        assert re.fullmatch(r"|#.*|[^#]+\S\s+# .{8,}", line), f"requirements.txt: why? {line}"


def test_package_admits_what_colab_preinstalls():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    ranges = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    assert ranges["tensorflow"].contains("2.19.0")
    assert ranges["keras"].contains("3.10.0")
    assert project["requires-python"] == ">=3.11"


def test_the_api_page_documents_every_public_name_once():
    module, documented = None, []
    for line in (read("book/api.md") + read("book/api_worlds.md")).splitlines():
        if match := re.match(r"\.\. currentmodule:: (\S+)$", line):
            module = match[1]
        elif match := re.match(r"\.\. auto(?:function|class|exception|data):: (\w+)$", line):
            documented.append(f"{module}.{match[1]}")
    public = [f"mmrec_tf.{name}" for name in mmrec_tf.__all__]
    for path in sorted((ROOT / "mmrec_tf").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        # What the package itself does not export is public in its own module.
        module = importlib.import_module(name.removesuffix(".__init__"))
        if name.startswith("mmrec_tf.serving.") and not name.endswith(".__init__"):
            continue  # The package itself says what of it is public.
        for public_name in getattr(module, "__all__", []):
            # Data sets are public in the package, but for the worlds.
            if name.startswith("mmrec_tf.datasets") and "worlds" not in name:
                continue
            if public_name not in mmrec_tf.__all__:
                public.append(f"{module.__name__}.{public_name}")
    assert sorted(documented) == sorted(public)


def test_every_public_name_of_the_models_is_used_in_a_chapter():
    text = "".join(path.read_text("utf-8") for path in (ROOT / "book/chapters").glob("*.md"))
    models = read("book/api.md").split("## Splits", 1)[1]  # Data sets come before.
    names = re.findall(r"^\.\. auto(?:function|class):: (\w+)$", models, re.MULTILINE)
    names = [name for name in names if name not in mmrec_tf.__all__]
    missing = [name for name in names if not re.search(rf"\b{name}\b", text)]
    assert not missing


def test_one_version_everywhere():
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert mmrec_tf.__version__ == version
    assert yaml.safe_load(read("CITATION.cff"))["version"] == version
    assert f"## {version}" in read("CHANGELOG.md")
    assert f"Version {version}." in read("book/index.md")
    Version(version)


@pytest.mark.parametrize("page", ["README.md", "book/setup.md", "CONTRIBUTING.md"])
def test_make_targets_that_are_named_exist(page):
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), flags=re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)\b", read(page), flags=re.MULTILINE))
    assert {"book", "test"} <= named, f"{page} does not name the two commands"
    assert named <= targets, f"{page} names {named - targets}, which the Makefile does not have"


def test_plain_commands_are_the_same_in_readme_and_set_up():
    block = re.search(r"```bash\n(python -m venv .*?)```", read("README.md"), flags=re.DOTALL)[1]
    assert block in read("book/setup.md")


def test_every_reference_can_be_looked_up():
    entries = re.split(r"\n@", read("book/references.bib"))[1:]
    assert len(entries) >= 10
    for entry in entries:
        key = re.match(r"\w+\{([^,]+),", entry)[1]
        # The proceedings of NeurIPS, the JMLR and OpenReview have neither, and number their
        # papers; a book has an ISBN.
        found = re.search(
            r"doi\s*=\s*\{10\.\d{4,}/\S+\}|eprint\s*=\s*\{\d{4}\.\d{4,5}\}"
            r"|url\s*=\s*\{https://papers\.nips\.cc/paper/(\d+|\d{4}/hash/[0-9a-f]{32}-Abstract\.html)\}"
            r"|url\s*=\s*\{https://(www\.)?jmlr\.org/papers/v\d+/\w+\.html\}"
            r"|url\s*=\s*\{https://openreview\.net/forum\?id=[\w-]+\}"
            r"|isbn\s*=\s*\{97[89]-[\d-]+\}",
            entry,
        )
        assert found or key == "xiang2012recommender", f"references.bib: {key} has no DOI or arXiv"


def test_every_doi_that_a_chapter_links_is_in_the_bibliography():
    bibliography = read("book/references.bib").lower()
    for source in (ROOT / "book" / "chapters").glob("*.md"):
        for doi in re.findall(r"https://doi\.org/([^)\s]+)", source.read_text(encoding="utf-8")):
            doi = unquote(doi)
            assert f"{{{doi.lower()}}}" in bibliography, (
                f"{source.name}: {doi} is not in references.bib"
            )


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_local_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", read(page)):
        assert (ROOT / target).exists(), f"{page} links {target}, which does not exist"


def test_docstrings_write_mathematics_as_the_api_page_reads_it():
    for path in (ROOT / "mmrec_tf").rglob("*.py"):
        found = re.findall(r"\$(?!MMREC)[A-Za-z\\{].{0,30}", path.read_text("utf-8"))
        assert not found, f"{path.name}: write :math:`x`, not {found[0]!r}"

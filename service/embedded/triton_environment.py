"""Finds the real `tritonserver` in the environment that `scripts/setup` made for it, and says precisely what is missing."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from service.errors import Unavailable

#: Asked of the environment's own interpreter; both may differ from ours.
_QUESTIONS = """
import importlib.metadata, json, sys, sysconfig
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
print(json.dumps({
    "python": "%d.%d" % sys.version_info[:2], "home": sys.base_prefix, "libdir": sysconfig.get_config_var("LIBDIR"),
    "site_packages": sysconfig.get_path("purelib"),
    "versions": {name: version(name) for name in ("numpy", "nvidia-pytriton", "onnxruntime", "openvino")},
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonEnvironment:
    """Where the server, its Python backend, the matching stub and the libraries are; versions by package name."""

    server: Path
    python_backend: Path
    stub: Path
    library_folders: tuple[Path, ...]
    versions: dict[str, str]


class _Answers(BaseModel):
    python: str
    home: Path
    libdir: Path
    site_packages: Path
    versions: dict[str, str | None]


def find_environment(folder: Path) -> TritonEnvironment:
    """Look into a virtual environment. Raises Unavailable naming the missing part and how to get it."""
    answers = _ask(folder)
    versions = {name: version for name, version in answers.versions.items() if version is not None}
    if "nvidia-pytriton" not in versions:
        raise Unavailable(f"{folder} has no nvidia-pytriton: run `make setup`", reason="triton_not_installed")
    if int(versions.get("numpy", "0").split(".")[0]) != 1:
        raise Unavailable(
            f"{folder} has numpy {versions.get('numpy')}; with numpy 2 this Triton answers zero bytes. Run `make setup`",
            reason="triton_numpy",
        )
    triton = answers.site_packages / "pytriton" / "tritonserver"
    stub = triton / "python_backend_stubs" / answers.python / "triton_python_backend_stub"
    if not stub.exists():
        raise Unavailable(f"nvidia-pytriton has no stub for Python {answers.python}; use Python 3.11 or 3.12 for {folder}")
    return TritonEnvironment(
        server=triton / "bin" / "tritonserver",
        python_backend=triton / "backends" / "python",
        stub=stub,
        library_folders=(answers.site_packages / "nvidia_pytriton.libs", *_libpython_folders(answers)),
        versions=versions,
    )


def _ask(folder: Path) -> _Answers:
    python = folder / "bin" / "python"
    if not python.exists():
        raise Unavailable(
            f"the embedded Triton is not installed in {folder}: run `make setup`, or set SONOMYO_TRITON__URL",
            reason="triton_not_installed",
        )
    answer = subprocess.run([python, "-I", "-c", _QUESTIONS], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - an interpreter that the settings name
    if answer.returncode != 0:
        raise Unavailable(f"{python} does not run: {answer.stderr.strip()[-300:]}", reason="triton_not_installed")
    return _Answers.model_validate_json(answer.stdout)


def _libpython_folders(answers: _Answers) -> tuple[Path, ...]:
    """Where the stub's libpythonX.Y.so.1.0 is: with the interpreter, or where the loader looks anyway (then no folder)."""
    library = f"libpython{answers.python}.so.1.0"
    for folder in (answers.libdir, answers.home / "lib"):
        if (folder / library).exists():
            return (folder,)
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    if library in known:
        return ()
    raise Unavailable(
        f"Triton's Python backend needs {library}, and the interpreter at {answers.home} was built without it."
        f" On Debian or Ubuntu install libpython{answers.python}; with pyenv build Python with"
        " PYTHON_CONFIGURE_OPTS=--enable-shared",
        reason="libpython_missing",
    )

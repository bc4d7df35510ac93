"""Certificates for tests, made by openssl."""

import subprocess
from pathlib import Path


def make_certificate(folder: Path, name: str, *, issuer: str | None = None, days: int = 2, of: str = "IP:127.0.0.1") -> None:
    """`NAME.key` and `NAME.crt` for the machine `of` (a subjectAltName), self-signed or signed by `issuer`."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", str(days)]
    command += ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
    command += ["-addext", f"subjectAltName={of}"]
    if issuer:
        command += ["-CA", str(folder / f"{issuer}.crt"), "-CAkey", str(folder / f"{issuer}.key")]
        command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True)


def make_certificates(folder: Path) -> Path:
    """An authority, a server and a client of it, a server of it at another address, and a stranger; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    make_certificate(folder, "authority")
    make_certificate(folder, "server", issuer="authority")
    make_certificate(folder, "elsewhere", issuer="authority", of="IP:192.0.2.1")
    make_certificate(folder, "client", issuer="authority")
    make_certificate(folder, "stranger")
    return folder

"""Write a certificate authority and a SuperLink's certificate, for TLS between server and sites.

`python -m loan_scoring.federated.certificates FOLDER NAME ...` writes them once. In earnest use
certificates of your own authority.
"""

import ipaddress
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAYS = 825


def write_certificates(folder: Path, names: list[str]) -> None:
    """Write `ca.crt`, `server.pem` and `server.key`, unless they are there.

    Args:
        folder: folder of the files. Sites need only `ca.crt`.
        names: host names under which sites reach the SuperLink.
    """
    if (folder / "server.key").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    authority, own = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    issuer = _name("loan-scoring federation")
    root = _builder(issuer, issuer, authority).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    hosts: list[x509.GeneralName] = [x509.DNSName(each) for each in (*names, "localhost")]
    hosts.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    server = _builder(_name(names[0]), issuer, own).add_extension(
        x509.SubjectAlternativeName(hosts), critical=False
    )
    public = serialization.Encoding.PEM
    (folder / "ca.crt").write_bytes(root.sign(authority, hashes.SHA256()).public_bytes(public))
    (folder / "server.pem").write_bytes(
        server.sign(authority, hashes.SHA256()).public_bytes(public)
    )
    key = own.private_bytes(public, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    partly = folder / "server.part"
    partly.touch(mode=0o600)
    partly.write_bytes(key)
    partly.replace(folder / "server.key")


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=DAYS))
    )


if __name__ == "__main__":
    write_certificates(Path(sys.argv[1]), sys.argv[2:])

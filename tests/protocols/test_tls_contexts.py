"""A wrong file is named, with what to do, before a single peer connects."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hilum.errors import ConfigError
from hilum.model import Severity
from hilum.protocols import ClientTls, ServerTls, certificate_findings, client_context, server_context
from wire_certificates import Authority, Pair, key_pem


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("server")


def refusal(tls: ServerTls | ClientTls) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        server_context(tls) if isinstance(tls, ServerTls) else client_context(tls)
    return caught.value


def test_a_server_asks_for_a_certificate_when_it_has_a_client_ca(authority: Authority, pair: Pair) -> None:
    plain = server_context(ServerTls(certificate=pair.certificate, key=pair.key))
    mutual = server_context(ServerTls(certificate=pair.certificate, key=pair.key, client_ca=authority.ca))
    assert (plain.verify_mode, mutual.verify_mode) == (ssl.CERT_NONE, ssl.CERT_REQUIRED)
    assert plain.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_client_always_checks_certificate_and_name(authority: Authority, pair: Pair) -> None:
    for tls in (ClientTls(), ClientTls(ca=authority.ca, certificate=pair.certificate, key=pair.key)):
        context = client_context(tls)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_missing_certificate_is_named(tmp_path: Path, pair: Pair) -> None:
    error = refusal(ServerTls(certificate=tmp_path / "none.crt", key=pair.key))
    assert error.code == "tls-certificate-unreadable"
    assert "none.crt" in error.message


def test_a_missing_key_is_named(tmp_path: Path, pair: Pair) -> None:
    error = refusal(ServerTls(certificate=pair.certificate, key=tmp_path / "none.key"))
    assert error.code == "tls-key-unreadable"
    assert "none.key" in error.message


def test_the_key_of_another_certificate_is_told_apart(authority: Authority, pair: Pair) -> None:
    other = authority.issue("other")
    assert refusal(ServerTls(certificate=pair.certificate, key=other.key)).code == "tls-key-mismatch"


def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(tmp_path: Path, pair: Pair) -> None:
    locked = tmp_path / "locked.key"
    locked.write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1()), b"secret"))
    error = refusal(ServerTls(certificate=pair.certificate, key=locked))
    assert error.code == "tls-key-unreadable"
    assert "passphrase" in error.message


def test_text_that_is_no_certificate_is_refused(tmp_path: Path, pair: Pair) -> None:
    text = tmp_path / "text.pem"
    text.write_text("hello")
    assert refusal(ServerTls(certificate=text, key=pair.key)).code == "tls-certificate-unreadable"
    mutual = ServerTls(certificate=pair.certificate, key=pair.key, client_ca=text)
    assert refusal(mutual).code == "tls-ca-unreadable"
    assert refusal(ClientTls(ca=text)).code == "tls-ca-unreadable"
    assert refusal(ClientTls(ca=tmp_path / "none.pem")).code == "tls-ca-unreadable"


def test_half_a_pair_is_refused(pair: Pair) -> None:
    assert refusal(ClientTls(certificate=pair.certificate)).code == "tls-pair-incomplete"
    assert refusal(ClientTls(key=pair.key)).code == "tls-pair-incomplete"


@pytest.mark.parametrize(
    ("days", "codes"),
    [
        (-1, [("tls-certificate-expired", Severity.ERROR)]),
        (5, [("tls-certificate-ends-soon", Severity.WARNING)]),
        (90, []),
    ],
)
def test_the_time_of_a_certificate_is_told(
    authority: Authority, days: float, codes: list[tuple[str, Severity]]
) -> None:
    pair = authority.issue("timed", days=days)
    assert [(finding.code, finding.severity) for finding in certificate_findings(pair.certificate)] == codes


def test_a_certificate_of_tomorrow_is_not_valid_yet(pair: Pair) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=500)
    assert [one.code for one in certificate_findings(pair.certificate, long_ago)] == ["tls-certificate-not-yet-valid"]


def test_a_file_that_is_no_certificate_is_a_finding(tmp_path: Path) -> None:
    codes = [one.code for one in certificate_findings(tmp_path / "none.crt")]
    assert codes == ["tls-certificate-unreadable"]

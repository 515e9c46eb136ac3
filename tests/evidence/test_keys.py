"""Ed25519 keys against RFC 8032, and the files in which they lie."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import hypothesis
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from hypothesis import strategies as st

from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.evidence import keys
from mlflow_rank.evidence.keys import PrivateKey, PublicKey, generate_key, read_private_key, read_public_key

PRIME = 2**255 - 19
seeds = st.binary(min_size=32, max_size=32)
KEY = PrivateKey.from_seed(bytes(32))


# RFC 8032


@pytest.mark.parametrize(
    ("seed", "public", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            (
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
            ),
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            (
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            ),
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            (
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
            ),
        ),
    ],
    ids=["test 1", "test 2", "test 3"],
)
def test_vectors_of_rfc_8032_section_7_1(seed, public, message, signature):
    key = PrivateKey.from_seed(bytes.fromhex(seed))
    assert key.public.raw.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert key.public.verifies(bytes.fromhex(signature), bytes.fromhex(message))


@hypothesis.given(seeds, st.binary(), st.integers(0, 511))
def test_a_signature_with_one_bit_changed_does_not_verify(seed, data, bit):
    key = PrivateKey.from_seed(seed)
    signature = key.sign(data)
    assert key.public.verifies(signature, data)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert not key.public.verifies(bytes(changed), data)


def test_a_signature_with_the_group_order_added_does_not_verify():
    order = 2**252 + 27742317777372353535851937790883648493
    signature = KEY.sign(b"data")
    s = int.from_bytes(signature[32:], "little") + order
    assert not KEY.public.verifies(signature[:32] + s.to_bytes(32, "little"), b"data")


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65)])
def test_what_is_no_signature_does_not_verify(signature):
    assert not KEY.public.verifies(signature, b"data")


# public keys that verify anything


def encoded(y: int, sign: int) -> bytes:
    return (y + (sign << 255)).to_bytes(32, "little")


def test_the_listed_points_are_those_of_small_order():
    d, order_8 = keys._D, keys._ORDER_8
    assert (d * order_8**4 + 2 * order_8**2 - 1) % PRIME == 0  # doubled, its y is 0: a point of order 4
    assert {0, 1, PRIME - 1, order_8, PRIME - order_8} == keys._SMALL_ORDER
    assert d == 37095705934669439343138083508754565189542113879843219016388785533085940283555  # RFC 8032, section 5.1


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [*sorted(keys._SMALL_ORDER), PRIME, PRIME + 1])
def test_keys_of_small_order_are_refused_in_every_spelling(y, sign):
    with pytest.raises(EvidenceError, match="no public key that we trust"):
        PublicKey(encoded(y, sign))


def test_openssl_would_take_such_a_key_and_anyone_signs_with_it():
    identity = encoded(1, 0)
    ed25519.Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"anything")  # does not raise


@pytest.mark.parametrize("y", [PRIME + 2, PRIME + 3, 2, 2**255 - 1])
def test_other_spellings_and_bytes_that_are_no_point_are_refused(y):
    with pytest.raises(EvidenceError, match="no public key that we trust"):
        PublicKey(encoded(y, 0))


@pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33)])
def test_other_lengths_are_refused(raw):
    with pytest.raises(EvidenceError, match="32 bytes"):
        PublicKey(raw)
    with pytest.raises(EvidenceError, match="32 bytes"):
        PrivateKey.from_seed(raw)


# texts


@hypothesis.given(seeds)
def test_a_public_key_is_the_same_through_text_and_pem(seed):
    key = PrivateKey.from_seed(seed).public
    assert PublicKey.from_text(key.text) == PublicKey.from_pem(key.pem) == key
    assert hash(PublicKey.from_text(key.text)) == hash(key)
    assert len(key.text) == len("ed25519:") + 44


def test_a_key_id_is_the_sha256_of_the_raw_bytes():
    assert PrivateKey.from_seed(bytes(32)).public.key_id == (
        "sha256:139e3940e64b5491722088d9a0d741628fc826e09475d341a780acde3c4b8070"
    )


@hypothesis.given(seeds, st.integers(0, 43), st.sampled_from("AZaz09+/=-_ \n"))
def test_a_changed_text_is_another_key_or_none(seed, at, letter):
    key = PrivateKey.from_seed(seed).public
    base = key.text.removeprefix("ed25519:")
    changed = base[:at] + letter + base[at + 1 :]
    try:
        other = PublicKey.from_text(f"ed25519:{changed}")
    except EvidenceError:
        return
    assert (other == key) == (changed == base)


@pytest.mark.parametrize("text", ["", "ed25519", "ED25519:" + 43 * "A" + "=", "rsa:AAAA", "ed25519:AAAA", 44 * "A"])
def test_what_is_no_key_text_is_refused(text):
    with pytest.raises(EvidenceError, match="public key"):
        PublicKey.from_text(text)


framed = st.text().map(lambda text: f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----")


@hypothesis.given(st.text() | framed)
def test_whatever_a_pem_holds_only_evidence_errors_escape(text):
    with pytest.raises(EvidenceError):
        PublicKey.from_pem(text)


def test_a_private_key_shows_nothing_of_itself():
    secret = KEY.key.private_bytes_raw()
    shown = repr(KEY) + str(KEY)
    assert secret.hex() not in shown
    assert "key=" not in shown


# files


@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_a_key_that_was_made_is_read_and_signs(tmp_path, passphrase):
    public = generate_key(tmp_path / "key", passphrase)
    key = read_private_key(tmp_path / "key", passphrase)
    assert key.public == public == read_public_key(tmp_path / "key.pub")
    assert public.verifies(key.sign(b"data"), b"data")
    assert (b"ENCRYPTED" in (tmp_path / "key").read_bytes()) == (passphrase is not None)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["key", "key.pub"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_nobody_else_reads_the_private_key_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        generate_key(tmp_path / "key", None)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "key.pub").stat().st_mode) == 0o644


def test_the_private_key_is_never_readable_by_others_not_even_for_a_moment(tmp_path, monkeypatch):
    real, modes = os.open, []

    def watched(path, flags, mode=0o777, **options):
        file = real(path, flags, mode, **options)
        modes.append((Path(path).name, stat.S_IMODE(os.fstat(file).st_mode), bool(flags & os.O_EXCL)))
        return file

    before = os.umask(0)
    monkeypatch.setattr(os, "open", watched)
    try:
        generate_key(tmp_path / "key", None)
    finally:
        os.umask(before)
    assert modes[0] == ("key", 0o600, True)


@pytest.mark.parametrize("there", ["key", "key.pub"])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_nothing_is_written_over(tmp_path, there, kind):
    if kind == "file":
        (tmp_path / there).write_text("mine")
    else:
        (tmp_path / there).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="never written over"):
        generate_key(tmp_path / "key", None)
    assert [each.name for each in tmp_path.iterdir()] == [there]
    if kind == "file":
        assert (tmp_path / there).read_text() == "mine"


def test_a_disk_that_is_full_leaves_no_key(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        generate_key(tmp_path / "key", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["nowhere/key", "zero\0byte"])
def test_a_key_is_written_only_where_a_directory_is(tmp_path, path):
    with pytest.raises(UsageError, match="cannot be written"):
        generate_key(tmp_path / path, None)


@pytest.mark.parametrize("passphrase", [b"", bytes(1024)])
def test_a_passphrase_that_cannot_encrypt_is_a_wrong_call(tmp_path, passphrase):
    with pytest.raises(UsageError, match="passphrase"):
        generate_key(tmp_path / "key", passphrase)
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_is_asked_for_only_where_one_is_needed(tmp_path):
    asked = []

    def ask() -> bytes:
        asked.append(1)
        return b"secret"

    generate_key(tmp_path / "open", None)
    read_private_key(tmp_path / "open", ask)
    assert asked == []
    public = generate_key(tmp_path / "closed", b"secret")
    assert read_private_key(tmp_path / "closed", ask).public == public
    assert asked == [1]


@pytest.mark.parametrize(
    "passphrase", [None, b"", lambda: None, lambda: b""], ids=["none", "empty", "none asked for", "empty asked for"]
)
def test_a_missing_passphrase_is_a_wrong_call(tmp_path, passphrase):
    generate_key(tmp_path / "key", b"secret")
    with pytest.raises(UsageError, match="encrypted and no passphrase"):
        read_private_key(tmp_path / "key", passphrase)


@pytest.mark.parametrize("passphrase", [b"wrong", bytes(5000), b"secret "])
def test_a_wrong_passphrase_opens_nothing(tmp_path, passphrase):
    generate_key(tmp_path / "key", b"secret")
    with pytest.raises(EvidenceError, match="does not open"):
        read_private_key(tmp_path / "key", passphrase)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o601, 0o777])
def test_a_private_key_that_others_may_read_is_refused(tmp_path, mode):
    generate_key(tmp_path / "key", None)
    (tmp_path / "key").chmod(mode)
    with pytest.raises(EvidenceError, match="chmod 600"):
        read_private_key(tmp_path / "key", None)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_key_that_only_its_owner_reads_is_taken(tmp_path, mode):
    public = generate_key(tmp_path / "key", None)
    (tmp_path / "key").chmod(mode)
    assert read_private_key(tmp_path / "key", None).public == public


def others():
    return {
        "RSA": rsa.generate_private_key(65537, 2048),
        "EC": ec.generate_private_key(ec.SECP256R1()),
        "Ed448": ed448.Ed448PrivateKey.generate(),
        "X25519": x25519.X25519PrivateKey.generate(),
        "DSA": dsa.generate_private_key(1024),
    }


@pytest.mark.filterwarnings("ignore")  # cryptography speaks of DSA's end
def test_keys_of_other_kinds_are_refused(tmp_path):
    for name, key in others().items():
        path = written(tmp_path / name, key)
        pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        for read in (lambda path=path: read_private_key(path, None), lambda pem=pem: PublicKey.from_pem(pem.decode())):
            with pytest.raises(EvidenceError, match=r"of another kind|cannot be read") as caught:
                read()
        assert name[:2] in str(caught.value)


def written(path: Path, key) -> Path:
    path.touch(0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def test_a_damaged_private_key_is_refused_without_a_word_of_it(tmp_path):
    generate_key(tmp_path / "key", None)
    lines = (tmp_path / "key").read_text().splitlines()
    (tmp_path / "key").write_text("\n".join([lines[0], lines[1][:-8], *lines[2:]]))
    with pytest.raises(EvidenceError, match="cannot be read") as caught:
        read_private_key(tmp_path / "key", None)
    assert lines[1][20:40] not in str(caught.value)


@hypothesis.given(st.binary(), st.binary(max_size=3), st.integers(0, 118), st.booleans())
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_whatever_lies_in_a_key_file_only_our_errors_escape(tmp_path, noise, new, at, damaged):
    pem = KEY.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(pem[:at] + new + pem[at + 1 :] if damaged else noise)
    for read in (lambda: read_private_key(path, b"x"), lambda: read_public_key(path)):
        try:
            read()
        except (EvidenceError, UsageError):
            continue


@pytest.mark.parametrize("where", ["nowhere", ".", "pipe", "zero\0byte"])
def test_what_is_no_file_is_a_wrong_call(tmp_path, where):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for read in (lambda: read_private_key(tmp_path / where, None), lambda: read_public_key(tmp_path / where)):
        with pytest.raises(UsageError, match="key"):
            read()


def test_a_huge_file_is_no_key(tmp_path):
    (tmp_path / "key").touch(0o600)
    os.truncate(tmp_path / "key", 2**40)
    for read in (lambda: read_private_key(tmp_path / "key", None), lambda: read_public_key(tmp_path / "key")):
        with pytest.raises(EvidenceError, match="no key"):
            read()


def test_a_public_key_file_holds_pem_or_one_line(tmp_path):
    (tmp_path / "one").write_text(f"{KEY.public.text}\n")
    (tmp_path / "two").write_text(f"\n{KEY.public.pem}\n")
    assert read_public_key(tmp_path / "one") == read_public_key(tmp_path / "two") == KEY.public


def test_a_private_key_in_place_of_a_public_one_is_not_shown(tmp_path):
    generate_key(tmp_path / "key", None)
    with pytest.raises(EvidenceError, match="this is a private key") as caught:
        read_public_key(tmp_path / "key")
    assert (tmp_path / "key").read_text().splitlines()[1][:10] not in str(caught.value)


def test_a_key_that_openssl_wrote_is_read(tmp_path):
    key = ed25519.Ed25519PrivateKey.generate()
    path = written(tmp_path / "key", key)
    assert read_private_key(path, None).public.raw == key.public_key().public_bytes_raw()

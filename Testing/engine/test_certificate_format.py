"""The text of a certificate: what is canonical, what is refused, and what a damaged one does (a verdict, always)."""

from __future__ import annotations

import json
import random
from io import BytesIO

import numpy as np
import pytest
from certificate_helpers import ISSUER, STRANGER, Sealed, marked, sealed, some_image, trusting
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine.certificate.canonical import bytes_of, canonical, parse, text_of
from MedUnlearnableLib.engine.certificate.certificate import Certificate, names_of_slices
from MedUnlearnableLib.engine.certificate.errors import BadCertificate
from MedUnlearnableLib.engine.certificate.frame import Image
from MedUnlearnableLib.engine.certificate.keys import PrivateKey, PublicKey, lock, unlock
from MedUnlearnableLib.engine.certificate.restore import restore
from MedUnlearnableLib.engine.certificate.verify import Kind, verify
from MedUnlearnableLib.engine.errors import Refused

MUTATIONS = 10_000
ODD_VALUES = (None, True, -1, 0, 2**53, 1.5, "", "x" * 300, [], {}, [[]], "../../etc/passwd", "\ud800", "1e999", "nan")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="ascii")), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def case() -> Sealed:
    original = some_image("int16", (1, 3, 4, 4))
    return sealed(Image(original), marked(original), recipients=("word",))


# Canonical JSON


@given(value=JSON)
def test_canonical_text_is_unique_and_comes_back(value):
    text = canonical(value)
    assert parse(text) == value
    assert canonical(json.loads(json.dumps(value, indent=3))) == text


def test_keys_are_sorted_and_nothing_is_wasted():
    assert (
        canonical({"b": [1, None, True], "a": "\u00e9\n\u007f/"})
        == '{"a":"\u00e9\\n\u007f/","b":[1,null,true]}'.encode()
    )


@pytest.mark.parametrize("value", [1.0, float("nan"), {"\u00e9": 1}, {1: 1}, 2**53, -(2**53), b"x", "\ud800", (set(),)])
def test_what_the_format_leaves_out_is_refused(value):
    with pytest.raises(ValueError, match=r"."):
        canonical(value)


@pytest.mark.parametrize(
    "text", [b'{"a":1,"a":1}', b"[1.0]", b"[1e3]", b"NaN", b"", b"{", b"\xff", b"[" * 100_000, b"9" * 5000, b"[" * 30]
)
def test_json_that_cannot_be_signed_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse(text)


@given(data=st.binary(max_size=70))
def test_base64_has_one_spelling(data):
    assert bytes_of(text_of(data)) == data
    for other in (text_of(data) + "\n", " " + text_of(data), text_of(data) + "="):
        with pytest.raises(ValueError, match=r"."):
            bytes_of(other)


# Damaged and forged certificates


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Bytes flipped, cut, doubled or exchanged, or a JSON value replaced by an odd one."""
    kind = chance.randrange(6)
    where = chance.randrange(len(content))
    if kind == 0:
        return content[:where] + bytes([chance.randrange(256)]) + content[where + 1 :]
    if kind == 1:
        return content[:where]
    if kind == 2:
        length = chance.randrange(1, 60)
        return content[:where] + content[where : where + length] * 2 + content[where + length :]
    if kind == 3:
        return content[:where] + content[where + chance.randrange(1, 60) :]
    data = json.loads(content)
    holder, key = data, chance.choice(list(data))
    while isinstance(holder[key], (dict, list)) and holder[key] and chance.random() < 0.8:
        holder = holder[key]
        key = chance.choice(list(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
    if kind == 4:
        holder[key] = chance.choice(ODD_VALUES)
    else:
        del holder[key]
    return json.dumps(data).encode()


def test_ten_thousand_mutated_certificates_get_a_verdict(case):
    chance = random.Random(7)
    signed = json.loads(case.content)
    for _ in range(MUTATIONS):
        content = mutated(case.content, chance)
        verdict = verify(content, case.protected, trusting(ISSUER), BytesIO(case.payload))
        if verdict.kind is not Kind.BAD_CERTIFICATE:
            assert json.loads(content) == signed
        assert verdict.sentence


def test_an_issuer_who_signs_nonsense_gets_a_verdict_too(case):
    """The signature fits, so the shape is all that stands between the verifier and odd values."""
    chance = random.Random(8)
    for _ in range(1000):
        content = mutated(case.content, chance)
        try:
            data = parse(content)
        except ValueError:
            continue
        if not isinstance(data, dict):
            continue
        again = case.signed_again(STRANGER, **{**data, "issuer": STRANGER_PART})
        assert again.verify(trust=trusting(STRANGER)).sentence
        try:
            restored = again.restore(trust=trusting(STRANGER))
        except Refused:
            continue
        assert np.array_equal(restored.array, case.original.array)


STRANGER_PART = {
    "name": STRANGER.name,
    "public_key": STRANGER.public.text,
    "key_id": STRANGER.public.key_id,
}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_of_the_certificate_is_found(case, data):
    content = bytearray(case.content)
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    assert verify(bytes(content), case.protected, trusting(ISSUER)).kind is Kind.BAD_CERTIFICATE


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"{}", b'"mul-cert/1"', b'{"format":"mul-cert/2"}', b"\0" * 99]
)
def test_what_is_no_certificate_is_a_bad_one(case, content):
    assert verify(content, case.protected, trusting(ISSUER)).kind is Kind.BAD_CERTIFICATE
    with pytest.raises(BadCertificate):
        restore(content, case.protected, ISSUER, trusting(ISSUER))


def test_layout_of_the_text_does_not_matter(case):
    text = json.dumps(json.loads(case.content), indent=2).encode()
    assert verify(text, case.protected, trusting(ISSUER)).kind is Kind.TRUSTED


def test_a_certificate_cannot_ask_for_all_memory(case):
    greedy = dict(case.certificate.data["recipients"][1], mem_kib=2**40)
    assert case.signed_again(recipients=[greedy]).verify().kind is Kind.BAD_CERTIFICATE
    huge = dict(case.certificate.data["protected"], shape_kji=[2**20] * 3)
    assert case.signed_again(protected=huge).verify().kind is Kind.BAD_CERTIFICATE


def test_a_certificate_that_contradicts_itself_is_bad(case):
    others = dict(case.certificate.data["protected"], value_hash="0" * 64)
    assert case.signed_again(protected=others).verify().kind is Kind.BAD_CERTIFICATE
    issuer = dict(case.certificate.data["issuer"], key_id="0" * 16)
    assert case.signed_again(issuer=issuer).verify().kind is Kind.BAD_CERTIFICATE


# Keys


def test_a_public_key_is_one_word_with_a_fingerprint():
    key = ISSUER.public
    assert key.text.startswith("mul-ed25519:")
    assert PublicKey.parse(f" {key.text}\n") == key
    groups = key.fingerprint.split(" ")
    assert [len(group) for group in groups] == [4] * 8
    assert "".join(groups).startswith(key.key_id)


@given(text=st.text(max_size=80) | st.binary(max_size=40).map(lambda raw: "mul-ed25519:" + text_of(raw)))
def test_what_is_no_public_key_is_refused(text):
    try:
        assert PublicKey.parse(text).text == text.strip()
    except Refused as error:
        assert "public key" in str(error)


@pytest.mark.parametrize("raw", [bytes(32), bytes([1, *[0] * 31]), b"\xff" * 32])
def test_points_of_small_order_are_no_keys(raw):
    with pytest.raises(Refused):
        PublicKey.parse("mul-ed25519:" + text_of(raw))


def test_a_private_key_is_never_shown():
    key = PrivateKey.fresh("me")
    assert text_of(key.seed) not in repr(key)
    assert str(key.seed) not in repr(key)


def test_a_lock_opens_for_its_passphrase_and_context_only():
    locked = lock(b"secret", "word", b"here")
    assert unlock(locked, "word", b"here") == b"secret"
    for passphrase, context in (("Word", b"here"), ("word", b"there")):
        with pytest.raises(Refused, match="wrong"):
            unlock(locked, passphrase, context)


def test_slices_are_named_briefly():
    assert names_of_slices([7, 3, 8, 9, 12]) == "3, 7-9, 12"


def test_the_certificate_is_readable_by_its_fields(case):
    certificate = Certificate.parse(case.content)
    assert (certificate.issuer, certificate.issuer_name, certificate.method) == (ISSUER.public, "Clinic A", "MedLocker")
    assert certificate.frame.shape == (1, 3, 4, 4)

"""The certificate: exact restoration or none, and the verdict of every threat."""

from __future__ import annotations

import copy
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from certificate_helpers import (
    ISSUER,
    METHOD,
    OBLIQUE,
    STRANGER,
    Sealed,
    marked,
    same_bits,
    sealed,
    some_image,
    trusting,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from MedUnlearnableLib.engine.case import Geometry, Units
from MedUnlearnableLib.engine.certificate import payload as payload_module
from MedUnlearnableLib.engine.certificate.canonical import bytes_of, canonical, text_of
from MedUnlearnableLib.engine.certificate.errors import BadCertificate
from MedUnlearnableLib.engine.certificate.frame import Image
from MedUnlearnableLib.engine.certificate.keys import PrivateKey
from MedUnlearnableLib.engine.certificate.payload import PayloadReader, PayloadWriter
from MedUnlearnableLib.engine.certificate.restore import restore
from MedUnlearnableLib.engine.certificate.seal import MethodStatement
from MedUnlearnableLib.engine.certificate.verify import Kind, Trust, verify
from MedUnlearnableLib.engine.errors import Refused

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
IMAGE = some_image()


@pytest.fixture(scope="module")
def case() -> Sealed:
    return sealed(Image(IMAGE, OBLIQUE), marked(IMAGE))


# What is restored


@pytest.mark.parametrize("shape", [(1, 5, 9, 8), (2, 4, 9, 8), (3, 1, 9, 11)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_original_comes_back_bit_for_bit(dtype, shape):
    original = some_image(dtype, shape)
    case = sealed(Image(original, OBLIQUE), marked(original, slice(0, 3)))
    assert case.verify().kind is Kind.TRUSTED
    restored = case.restore()
    assert same_bits(restored.array, original)
    assert same_bits(restored.in_file, original)
    assert restored.parameters == METHOD.parameters


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_any_change_of_any_bits_is_undone(data, dtype):
    """NaN payloads and the sign of zero are bits, too."""
    shape = tuple(data.draw(st.integers(1, 4), label=name) for name in ("channels", "depth", "height", "width"))
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    original, protected = (
        np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), dtype).reshape(shape) for _ in range(2)
    )
    case = sealed(Image(original), protected)
    assert case.verify().kind is Kind.TRUSTED
    assert same_bits(case.restore().array, original)


def test_an_image_that_was_not_changed_has_a_certificate_and_is_restored():
    case = sealed(Image(IMAGE, OBLIQUE), IMAGE)
    assert case.verify().kind is Kind.TRUSTED
    assert same_bits(case.restore().array, IMAGE)


def test_a_payload_of_many_chunks_is_a_file_of_its_own(monkeypatch):
    monkeypatch.setattr(payload_module, "CHUNK_BYTES", 1000)
    monkeypatch.setattr("MedUnlearnableLib.engine.certificate.seal.INLINE_BYTES", 2000)
    original = some_image("int16", (1, 5, 40, 40))
    case = sealed(Image(original), original[:, ::-1].copy())
    assert case.certificate.data["payload"]["location"] == "file"
    assert "data" not in case.certificate.data["payload"]
    assert same_bits(case.restore().array, original)


def test_recipients_and_passphrases_open_it_and_nobody_else():
    doctor = PrivateKey.fresh("Doctor")
    case = sealed(Image(IMAGE), marked(IMAGE), recipients=(doctor.public, "open sesame", "another word"))
    for opener in (ISSUER, doctor, "open sesame", "another word"):
        assert same_bits(case.restore(opener=opener).array, IMAGE)
    for opener in (STRANGER, "open says me"):
        with pytest.raises(Refused):
            case.restore(opener=opener)


def test_a_passphrase_is_the_same_however_its_accents_are_typed():
    case = sealed(Image(IMAGE), marked(IMAGE), recipients=("Z\u00fcrich",))
    assert same_bits(case.restore(opener="Zu\u0308rich").array, IMAGE)


# Copies in other formats


def turned(image: Image, axes: tuple[int, ...], flips: tuple[bool, ...]) -> Image:
    """The same image with permuted and flipped axes k, j, i, and the geometry that says so."""
    array, turn = image.array, np.zeros((4, 4))
    turn[3, 3] = 1.0
    moved = array.transpose(0, *(axis + 1 for axis in axes))
    for new, (old, flipped) in enumerate(zip(axes, flips)):
        turn[2 - old, 2 - new] = -1.0 if flipped else 1.0
        turn[2 - old, 3] = moved.shape[new + 1] - 1 if flipped else 0.0
    steps = tuple(slice(None, None, -1 if flipped else 1) for flipped in flips)
    return Image(moved[(slice(None), *steps)], Geometry(image.geometry.ijk_to_ras @ turn), image.units)


@settings(max_examples=40, deadline=None)
@given(
    axes=st.permutations(range(3)),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    noise=st.integers(0, 2**32),
    turn=st.floats(0, 90),
)
def test_permuted_and_flipped_axes_do_not_matter(axes, flips, noise, turn):
    """45 degrees included, where the nearest anatomical axis is a matter of rounding."""
    angle = np.deg2rad(turn)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    geometry = Geometry(rotation @ np.diag([0.7, 0.7, 2.5, 1.0]))
    case = sealed(Image(IMAGE, geometry), marked(IMAGE))
    copy_of = turned(case.protected, axes, flips)
    wiggle = 1 + 1e-6 * np.random.default_rng(noise).uniform(-1, 1, (4, 4))  # NIfTI and DICOM lose last digits
    copy_of = replace(copy_of, geometry=Geometry(copy_of.geometry.ijk_to_ras * wiggle))
    assert case.verify(copy_of).kind is Kind.TRUSTED
    assert np.array_equal(case.restore(copy_of).array, turned(case.original, axes, flips).array)


@pytest.mark.parametrize(
    ("dtype", "as_dtype"), [("int16", "float32"), ("uint16", "int32"), ("uint8", "float64"), ("float32", "float64")]
)
def test_a_copy_of_another_dtype_is_the_same_image(dtype, as_dtype):
    original = some_image(dtype)
    case = sealed(Image(original, OBLIQUE), marked(original))
    copy_of = replace(case.protected, array=case.protected.array.astype(as_dtype))
    assert case.verify(copy_of).kind is Kind.TRUSTED
    restored = case.restore(copy_of)
    assert same_bits(restored.array, original)
    assert same_bits(restored.in_file, original.astype(as_dtype))


def test_a_copy_whose_dtype_cannot_hold_the_original_still_restores_it():
    original = some_image("int16")
    protected = np.zeros_like(original)
    case = sealed(Image(original), protected)
    restored = case.restore(replace(case.protected, array=protected.astype("uint8")))
    assert same_bits(restored.array, original)
    assert restored.in_file is None


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, -1024.0), (0.1, 5.0), (-2.0, 3.5)])
def test_a_copy_in_physical_units_is_the_same_image(slope, intercept):
    """Slicer loads Hounsfield units and saves them without slope and intercept."""
    units = Units(slope, intercept)
    case = sealed(Image(IMAGE, OBLIQUE, units), marked(IMAGE))
    physical = (case.protected.array * slope + intercept).astype("float32")
    copy_of = Image(physical, OBLIQUE)
    assert case.verify(copy_of).kind is Kind.TRUSTED
    restored = case.restore(copy_of)
    assert same_bits(restored.array, IMAGE)
    np.testing.assert_allclose(restored.in_file, IMAGE * slope + intercept, rtol=1e-6, atol=1e-3)


def test_a_copy_of_stored_values_without_their_units_is_the_same_image():
    case = sealed(Image(IMAGE, OBLIQUE, Units(1.0, -1024.0)), marked(IMAGE))
    assert case.verify(Image(case.protected.array, OBLIQUE)).kind is Kind.TRUSTED


def test_a_picture_without_geometry_may_get_one():
    """Slicer gives a PNG an orientation when it saves it as NRRD."""
    picture = some_image("uint8", (3, 1, 12, 14))
    case = sealed(Image(picture), marked(picture, slice(0, 1)))
    as_nrrd = replace(case.protected, geometry=Geometry(np.diag([-1.0, -1.0, 1.0, 1.0])))
    assert case.verify(as_nrrd).kind is Kind.TRUSTED
    assert same_bits(case.restore(as_nrrd).array, picture)


# The threat table


def test_a_changed_voxel_names_its_slice(case):
    tampered = case.protected.array.copy()
    tampered[0, 4, 0, 0] += 1
    verdict = case.verify(replace(case.protected, array=tampered))
    assert (verdict.kind, verdict.slices, verdict.exit_code) == (Kind.CHANGED, (4,), 1)
    assert "slice 4 of 6" in verdict.sentence
    with pytest.raises(Refused, match="slice 4"):
        case.restore(replace(case.protected, array=tampered))


def test_a_slice_is_named_as_the_file_at_hand_counts(case):
    upside_down = turned(case.protected, (0, 1, 2), (True, False, False))
    tampered = upside_down.array.copy()
    tampered[0, 1, 0, 0] += 1
    assert case.verify(replace(upside_down, array=tampered)).slices == (1,)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_every_flipped_bit_of_the_image_is_found(data, dtype):
    original = some_image(dtype, (1, 3, 4, 4))
    case = sealed(Image(original), marked(original))
    tampered = case.protected.array.copy()
    bit = data.draw(st.integers(0, tampered.nbytes * 8 - 1))
    tampered.reshape(-1).view(np.uint8)[bit // 8] ^= 1 << bit % 8
    verdict = case.verify(replace(case.protected, array=tampered))
    assert verdict.kind is Kind.CHANGED
    assert verdict.slices == (bit // (tampered.nbytes // 3 * 8),)


def test_another_image_and_a_lossy_copy_have_one_verdict(case):
    for array in (some_image(seed=1), case.protected.array + np.int16(1), IMAGE[:, :, :-1], IMAGE.repeat(2, axis=0)):
        verdict = case.verify(replace(case.protected, array=array))
        assert (verdict.kind, verdict.exit_code) == (Kind.OTHER_IMAGE, 1)


def test_air_that_two_images_share_does_not_make_them_akin():
    first, second = some_image(), some_image(seed=1)
    first[:, 0] = second[:, 0] = -1024
    case = sealed(Image(first), marked(first))
    assert case.verify(Image(second)).kind is Kind.OTHER_IMAGE


def test_voxels_at_another_place_are_a_change(case):
    moved = OBLIQUE.ijk_to_ras.copy()
    moved[0, 3] += 5.0
    verdict = case.verify(replace(case.protected, geometry=Geometry(moved)))
    assert verdict.kind is Kind.CHANGED
    assert "places them" in verdict.sentence


def test_a_mirrored_orientation_is_no_unchanged_image(case):
    mirrored = Geometry(OBLIQUE.ijk_to_ras @ np.diag([-1.0, 1.0, 1.0, 1.0]))
    assert not case.verify(replace(case.protected, geometry=mirrored)).unchanged


def test_an_unknown_issuer_is_said_and_restores_for_nobody_but_himself(case):
    verdict = case.verify(trust=trusting())
    assert (verdict.kind, verdict.exit_code) == (Kind.UNKNOWN_ISSUER, 3)
    assert ISSUER.public.fingerprint in verdict.sentence
    assert same_bits(case.restore(trust=trusting()).array, IMAGE)
    for_both = sealed(Image(IMAGE), marked(IMAGE), recipients=(STRANGER.public, "word"))
    for opener in (STRANGER, "word"):
        with pytest.raises(Refused, match="issuer is unknown"):
            for_both.restore(opener=opener, trust=trusting())


def test_a_revoked_issuer_is_a_bad_certificate(case):
    verdict = case.verify(trust=lambda key: Trust.REVOKED)
    assert (verdict.kind, verdict.exit_code) == (Kind.BAD_CERTIFICATE, 1)


def test_a_forged_certificate_is_bad(case):
    """By somebody who puts the trusted issuer's key on his own work."""
    forged = case.signed_again(STRANGER)
    assert forged.verify().kind is Kind.BAD_CERTIFICATE
    with pytest.raises(BadCertificate, match="signature"):
        forged.restore()


def test_a_strangers_own_certificate_of_a_clinics_image_is_of_unknown_issuer(case):
    stolen = sealed(case.protected, case.protected.array, issuer=STRANGER)
    assert stolen.verify().kind is Kind.UNKNOWN_ISSUER


@pytest.mark.parametrize("where", ["method", "protected", "payload", "recipients", "issuer"])
def test_an_edited_field_is_bad(case, where):
    data = copy.deepcopy(case.certificate.data)
    if where == "method":
        data["method"]["statement"]["logos"] = 3
    elif where == "protected":
        data["protected"]["value_hash"] = "0" * 64
    elif where == "payload":
        data["payload"]["bytes"] += 1
    elif where == "recipients":
        data["recipients"] = []
    else:
        data["issuer"]["name"] = "Clinic B"
    assert case.verify(content=canonical(data)).kind is Kind.BAD_CERTIFICATE


def test_a_swapped_payload_is_bad():
    big = some_image("int16", (1, 6, 400, 400))
    first, second = (sealed(Image(big), big[..., ::-1].copy()) for _ in range(2))
    assert first.certificate.data["payload"]["location"] == "file"
    swapped = replace(first, payload=second.payload)
    assert swapped.verify().kind is Kind.BAD_CERTIFICATE
    with pytest.raises(BadCertificate, match="payload"):
        swapped.restore()
    assert replace(first, payload=first.payload[:-1]).verify().kind is Kind.BAD_CERTIFICATE


def test_a_missing_payload_is_said_and_nothing_is_restored():
    big = some_image("int16", (1, 6, 400, 400))
    case = sealed(Image(big), big[..., ::-1].copy())
    verdict = verify(case.content, case.protected, trusting(ISSUER))
    assert verdict.kind is Kind.TRUSTED
    assert "missing" in verdict.sentence
    with pytest.raises(Refused, match="missing"):
        restore(case.content, case.protected, ISSUER, trusting(ISSUER))


def test_a_payload_of_another_certificate_does_not_open_even_if_signed(case):
    """The issuer's software mixed two up: their headers differ, so the authenticated data do."""
    other = sealed(Image(IMAGE, OBLIQUE), marked(IMAGE))
    mixed = case.signed_again(payload=other.certificate.data["payload"])
    assert mixed.verify().kind is Kind.TRUSTED
    with pytest.raises(BadCertificate, match="does not belong"):
        mixed.restore()


def test_a_swapped_key_does_not_open(case):
    entry = dict(case.certificate.data["recipients"][0])
    entry["wrapped"] = text_of(ISSUER.public.wrap(bytes(32)))
    with pytest.raises(BadCertificate, match="does not belong"):
        case.signed_again(recipients=[entry]).restore()
    entry["wrapped"] = text_of(STRANGER.public.wrap(bytes(32)))
    with pytest.raises(Refused, match="does not open"):
        case.signed_again(recipients=[entry]).restore()


def test_a_replay_on_another_volume_fails(case):
    assert case.verify(Image(some_image(seed=5), OBLIQUE)).kind is Kind.OTHER_IMAGE


def test_nothing_private_stands_in_certificate_or_payload(case):
    written = case.content + case.payload + bytes_of(case.certificate.data["payload"]["data"])
    for number in (31337, 4242):  # the parameters of METHOD
        assert str(number).encode() not in case.content
    for plane in IMAGE[0]:
        for row in plane:
            assert row.tobytes() not in written
    committed = case.certificate.data["method"]["commitment"]
    assert committed != sealed(Image(IMAGE), marked(IMAGE)).certificate.data["method"]["commitment"]  # salted


def test_the_public_statement_has_a_limit():
    with pytest.raises(Refused, match="statement"):
        sealed(Image(IMAGE), IMAGE, method=MethodStatement("MedLocker", {"text": "x" * 70_000}))


# The payload


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.binary(max_size=300), max_size=8), chunk=st.integers(1, 64), data=st.data())
def test_chunks_come_back_and_no_flipped_bit_does(pieces, chunk, data):
    key, prefix, binding = bytes(32), bytes(8), bytes(32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload_module, "CHUNK_BYTES", chunk)
        file = BytesIO()
        writer = PayloadWriter(file, key, prefix, binding)
        for piece in pieces:
            writer.write(piece)
        writer.close()
        written = bytearray(file.getvalue())

        def read(content: bytes) -> bytes:
            reader = PayloadReader(BytesIO(content), len(content), key, prefix, binding)
            found = b"".join(reader.read(len(piece)) for piece in pieces)
            reader.finish()
            return found

        assert read(written) == b"".join(pieces)
        bit = data.draw(st.integers(0, len(written) * 8 - 1))
        written[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadCertificate):
            read(written)
        written[bit // 8] ^= 1 << bit % 8
        for cut in (written[: len(written) // 2], written + b"\0", written[: -chunk - 16], b""):
            with pytest.raises(BadCertificate):
                read(cut)


def test_more_or_less_than_was_promised_is_refused():
    def reader_of(data: bytes) -> PayloadReader:
        file = BytesIO()
        writer = PayloadWriter(file, bytes(32), bytes(8), bytes(32))
        writer.write(data)
        writer.close()
        file.seek(0)
        return PayloadReader(file, writer.size, bytes(32), bytes(8), bytes(32))

    with pytest.raises(BadCertificate, match="more"):
        reader_of(b"abc").finish()
    with pytest.raises(BadCertificate, match="too early"):
        reader_of(b"abc").read(4)
    bomb = reader_of(bytes(50_000_000))
    assert bomb.read(10) == bytes(10)
    with pytest.raises(BadCertificate, match="more"):
        bomb.finish()

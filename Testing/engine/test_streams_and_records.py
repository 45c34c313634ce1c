"""Seeds that repeat, ids that do not give them away, records that read back."""

import json

import numpy as np
from MedUnlearnableLib.engine.case import Case, CasesInMemory, Geometry
from MedUnlearnableLib.engine.record import Record, voxels_sha256
from MedUnlearnableLib.engine.streams import RandomStreams
from MedUnlearnableLib.engine.umed import UMed, UMedParams


def test_streams_of_one_seed_are_independent_and_repeat():
    streams = RandomStreams.from_number(3)
    first = streams.generator("a").random(4)
    assert np.array_equal(first, RandomStreams.from_number(3).generator("a").random(4))
    assert not np.array_equal(first, streams.generator("b").random(4))


def test_the_seed_id_does_not_contain_the_seed():
    streams = RandomStreams.fresh()
    assert streams.seed.hex() not in streams.seed_id
    assert streams.seed_id not in streams.seed.hex()
    assert RandomStreams.fresh().seed != streams.seed


def test_the_voxel_hash_knows_neither_byte_order_nor_memory_layout():
    image = np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4)
    assert voxels_sha256(image) == voxels_sha256(image.astype(">i2")) == voxels_sha256(np.asfortranarray(image))
    assert voxels_sha256(image) != voxels_sha256(image + 1)


def test_a_record_reads_back_from_its_json():
    image = np.random.default_rng(0).integers(0, 255, (1, 1, 30, 30)).astype(np.uint8)
    segments = (np.pad(np.ones((1, 10, 10), np.uint8), ((0, 0), (10, 10), (10, 10))),)
    case = Case("a", image, Geometry.of_spacing((1, 1, 1)), segments, modality="picture")
    method = UMed(UMedParams(), RandomStreams.from_number(0))
    method.fit(CasesInMemory((case,)))
    record = method.protect(case).record
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record

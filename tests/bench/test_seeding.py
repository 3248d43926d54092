"""Streams: known answers, independence of everything that is not in the name."""

import hashlib
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroproofml.benchmarks import seeding
from zeroproofml.scm.errors import SCMValueError

ROLES = st.sampled_from(["init", "shuffle", "noise"])
SEEDS = st.integers(1, 2**31 - 1)


def test_the_name_of_a_stream_is_the_head_of_a_sha256():
    # Run contract, section 6, by hand: canonical JSON, first 128 bits, four 32-bit words.
    text = b'["zpml-stream",1,"ik","standard/1","init","mlp_pole",2]'
    head = hashlib.sha256(text).hexdigest()[:32]
    expected = tuple(int(head[i : i + 8], 16) for i in range(0, 32, 8))
    assert seeding.words("ik", "standard/1", "init", "mlp_pole", 2) == expected


def test_known_answers():
    sequence = seeding.stream(7, "dose", "standard/1", "data.train")
    assert sequence.entropy == 7
    assert sequence.spawn_key == (0xD18C85A5, 0x96ACD97B, 0xF69458A1, 0x68730FEE)
    made = seeding.generator(7, "dose", "standard/1", "data.train")
    assert made.bit_generator.random_raw(3).tolist() == [
        9842829477768383496,
        11708308265102133365,
        4411109004280222470,
    ]


def test_a_generator_is_pcg64_over_the_stream():
    made = seeding.generator(3, "rf", "standard/1", "noise", index=4)
    by_hand = np.random.Generator(
        np.random.PCG64(
            np.random.SeedSequence(3, spawn_key=seeding.words("rf", "standard/1", "noise", None, 4))
        )
    )
    assert made.bit_generator.random_raw(5).tolist() == by_hand.bit_generator.random_raw(5).tolist()


@given(SEEDS, ROLES, st.sampled_from(["a", "b"]), st.integers(0, 3), st.data())
def test_each_part_of_the_name_gives_another_stream(seed, role, arm, index, data):
    base = (seed, "ik", "standard/1", role, arm, index)
    other = list(base)
    place = data.draw(st.integers(0, 5))
    other[place] = {
        0: seed % (2**31 - 1) + 1,
        1: "rf",
        2: "standard/2",
        3: {"init": "noise", "noise": "shuffle", "shuffle": "init"}[role],
        4: {"a": "b", "b": None}[arm],
        5: index + 1,
    }[place]

    def first(key):
        return seeding.generator(*key[:4], arm=key[4], index=key[5]).bit_generator.random_raw()

    assert first(base) != first(tuple(other))
    assert first(base) == first(base)


@given(SEEDS)
def test_data_streams_have_no_arm(seed):
    with pytest.raises(SCMValueError, match="no arm"):
        seeding.stream(seed, "ik", "standard/1", "data.train", arm="mlp")


@pytest.mark.parametrize(
    ("seed", "role", "index"),
    [(-1, "init", 0), (2**31, "init", 0), (True, "init", 0), (1, "weights", 0), (1, "init", -1)],
)
def test_names_outside_the_law_are_refused(seed, role, index):
    with pytest.raises(SCMValueError, match=r"^(seed|role|index): "):
        seeding.stream(seed, "ik", "standard/1", role, index=index)


def test_zero_is_the_entropy_of_frozen_sets_only():
    frozen = seeding.stream(seeding.FROZEN, "ik", "standard/1", "data.test")
    assert frozen.entropy == 0


def test_torch_generator_repeats_and_depends_on_the_arm():
    def draw(arm):
        import torch

        made = seeding.torch_generator(5, "ik", "standard/1", "init", arm=arm)
        return torch.rand(4, generator=made).tolist()

    assert draw("a") == draw("a")
    assert draw("a") != draw("b")


def test_arm_scope_sets_the_global_generators_and_puts_them_back():
    import torch

    def draws():
        return random.random(), float(np.random.random()), float(torch.rand(1))  # noqa: NPY002

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    outside = draws()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    with seeding.arm_scope(1, "ik", "standard/1", "a"):
        inside = draws()
    assert draws() == outside
    with seeding.arm_scope(1, "ik", "standard/1", "a"):
        assert draws() == inside
    with seeding.arm_scope(1, "ik", "standard/1", "b"):
        assert draws() != inside

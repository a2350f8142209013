"""The affinity channels' order."""

from ggn.affinity.offsets import NEIGHBOUR_OFFSETS


def test_offsets_follow_the_order_of_the_golden_channels() -> None:
    up, left, down, right = (-1, 0), (0, -1), (1, 0), (0, 1)
    up_left, down_left, down_right, up_right = (-1, -1), (1, -1), (1, 1), (-1, 1)
    expected = [up, left, up_left, down_left, down, right, down_right, up_right]
    assert [tuple(row) for row in NEIGHBOUR_OFFSETS.tolist()] == expected


def test_offsets_come_in_opposite_pairs_four_channels_apart() -> None:
    assert (NEIGHBOUR_OFFSETS[:4] == -NEIGHBOUR_OFFSETS[4:]).all()

"""Tests of prices."""

import unittest

import prices


class Discounts(unittest.TestCase):
    """What a discount does to a price."""

    def test_no_discount(self) -> None:
        """Nothing changes."""
        self.assertEqual(prices.total([100, 250]), 350)

    def test_rounds_to_the_nearest_cent(self) -> None:
        """849.15 is 849."""
        self.assertEqual(prices.discounted(999, 15), 849)

"""Prices, in cents."""


def discounted(cents: int, percent: int) -> int:
    """The price after a discount, rounded to the nearest cent."""
    return cents - cents * percent // 100


def total(prices: list[int], percent: int = 0) -> int:
    """The sum of the prices, each discounted."""
    return sum(discounted(price, percent) for price in prices)

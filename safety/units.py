"""Integer arithmetic that never rounds in the patient's disfavour."""


def ceil_div(dividend: int, divisor: int) -> int:
    """Divide and round up, towards more dose. The divisor is positive."""
    return -(-dividend // divisor)


def is_whole(value: object, low: int, high: int) -> bool:
    """Tell whether `value` is a plain integer (no bool) with low <= value <= high; anything else fails closed."""
    return type(value) is int and low <= value <= high

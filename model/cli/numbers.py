"""Metrics as text for tables: fractions in per cent, costs and bits with four decimals."""


def number(value: float | None, unit: str) -> str:
    """A metric without its unit ("%", "bit" or ""); "-" for None."""
    if value is None:
        return "-"
    return f"{100 * value:.2f}" if unit == "%" else f"{value:.4f}"


def signed_number(value: float, unit: str) -> str:
    """As `number`, always with a sign."""
    return f"{100 * value:+.2f}" if unit == "%" else f"{value:+.4f}"


def interval(low: float, high: float, unit: str, *, signed: bool = False) -> str:
    """Both ends of an interval as `number` or `signed_number` shows them."""
    shape = signed_number if signed else number
    return f"{shape(low, unit)} to {shape(high, unit)}"

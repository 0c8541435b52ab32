"""Names of the columns that hold a score and the ends of its interval."""

LOW, HIGH = "_low", "_high"


def with_ends(name: str) -> tuple[str, str, str]:
    """Returns the names of a score's column and of the lower and upper end of its interval."""
    return name, f"{name}{LOW}", f"{name}{HIGH}"


def without_end(name: str) -> str:
    """Returns the name of a score's column, from its own name or that of an interval's end."""
    return name.removesuffix(LOW).removesuffix(HIGH)

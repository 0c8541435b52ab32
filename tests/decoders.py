"""Decoders for property tests: every registered one, looked up when an example is drawn."""

from hypothesis import strategies as st

from maskgit.inpainting.registry import step_decoders


def any_decoder() -> st.SearchStrategy[str]:
    """The name of a decoder that follows the common loop."""

    def nth(number: int) -> str:
        names = step_decoders()
        return names[number % len(names)]

    return st.integers(0, 999).map(nth)

"""The plans of the study: schedules, steps and temperatures of each decoder, and kinds of hole."""

from dataclasses import dataclass

from maskgit.inpainting.registry import step_decoders

HOLE_KINDS = ("thin", "thick", "half")
STEPS = (1, 2, 3, 5, 8, 16)
BOUNDS = (1, 3, 8, 20, 50)  # of decoder entropy_bound, in nats, in place of steps
GAMMAS = ("cosine", "linear", "square", "entropic")
TEMPERATURES = (0.2, 0.4, 0.7, 1.0)
CHOICE_TEMPERATURES = (1.0, 4.5)


@dataclass(frozen=True)
class Plan:
    """The settings of one decoder that the study runs."""

    gammas: tuple[str, ...] = GAMMAS
    iterations: tuple[int, ...] = STEPS
    tuned_at: int = 8  # iterations
    temperatures: tuple[float, ...] = TEMPERATURES
    choice_temperatures: tuple[float, ...] = CHOICE_TEMPERATURES

    def settings(self) -> list[tuple[str, int]]:
        """Returns pairs of schedule and iterations, with one step under the first schedule only."""
        several = [(gamma, count) for gamma in self.gammas for count in self.iterations]
        return [pair for pair in several if pair[1] > 1 or pair[0] == self.gammas[0]]


# Decoders other than MaskGIT's run under one schedule, to separate the effects of both.
ONE = ("cosine",)
SPECIAL = {
    "confidence": Plan(),
    "halton": Plan(gammas=ONE, choice_temperatures=(0.0,)),  # it uses no Gumbel noise
    "entropy_bound": Plan(gammas=ONE, iterations=BOUNDS, choice_temperatures=(0.0,)),
}
PLANS = {name: SPECIAL.get(name, Plan(gammas=ONE)) for name in step_decoders()}
"""The plan of each registered decoder. A test compares the names with those in study/dvc.yaml."""

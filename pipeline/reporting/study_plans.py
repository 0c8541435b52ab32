"""What the study tries: of each decoder its schedules, steps and temperatures; kinds of hole."""

from dataclasses import dataclass

from maskgit.inpainting.registry import step_decoders

HOLE_KINDS = ("thin", "thick", "half")
STEPS = (1, 2, 3, 5, 8, 16)
BOUNDS = (1, 3, 8, 20, 50)  # nats, in place of steps
GAMMAS = ("cosine", "linear", "square", "entropic")
TEMPERATURES = (0.2, 0.4, 0.7, 1.0)
CHOICE_TEMPERATURES = (1.0, 4.5)


@dataclass(frozen=True)
class Plan:
    """What is tried of one decoder."""

    gammas: tuple[str, ...] = GAMMAS
    iterations: tuple[int, ...] = STEPS
    tuned_at: int = 8  # iterations
    temperatures: tuple[float, ...] = TEMPERATURES
    choice_temperatures: tuple[float, ...] = CHOICE_TEMPERATURES

    def settings(self) -> list[tuple[str, int]]:
        """Schedules and iterations; in one step all schedules are the same."""
        several = [(gamma, count) for gamma in self.gammas for count in self.iterations]
        return [pair for pair in several if pair[1] > 1 or pair[0] == self.gammas[0]]


ONE = ("cosine",)  # for the others: how a decoder chooses and how fast it goes are two questions
SPECIAL = {
    "confidence": Plan(),
    "halton": Plan(gammas=ONE, choice_temperatures=(0.0,)),  # it leaves nothing to luck
    "entropy_bound": Plan(gammas=ONE, iterations=BOUNDS, choice_temperatures=(0.0,)),
}
PLANS = {name: SPECIAL.get(name, Plan(gammas=ONE)) for name in step_decoders()}
"""Of every registered decoder; study/dvc.yaml names them too, which a test compares."""

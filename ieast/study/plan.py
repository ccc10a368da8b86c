"""How large a study is."""

from dataclasses import dataclass
from typing import Literal

from ieast.errors import StudyError

Kind = Literal["deception", "preference"]

MOST = 1000
"""Participants that a study may have: their windows are matched all at once."""


@dataclass(frozen=True)
class Plan:
    """How large a study is; the defaults are the paper's (section 4.3).

    Attributes:
        participants: People to be asked.
        pairs: Preference questions for each, every one on another pair.
        per_method: Pictures of each method among a participant's deception questions.
        real: Real artworks among them.
        seed: Decides all that is drawn.
    """

    participants: int = 50
    pairs: int = 20
    per_method: int = 10
    real: int = 10
    seed: int = 0

    def check(self, methods: int, pairs: int, artworks: int) -> None:
        """Raise unless there is enough to ask about.

        Raises:
            StudyError: There is not.
        """
        if not 1 <= self.participants <= MOST:
            raise StudyError(f"--participants is {self.participants}; a study has between 1 and {MOST}")
        if min(self.pairs, self.per_method, self.real) < 0:
            raise StudyError("--pairs, --per-method and --real are numbers of questions and cannot be negative")
        if self.pairs + self.per_method + self.real == 0:
            raise StudyError("a study without questions: give --pairs, --per-method or --real")
        if methods < 2:
            raise StudyError("a study compares two methods or more")
        for asked, option in ((self.pairs, "--pairs"), (self.per_method, "--per-method")):
            if asked > pairs:
                raise StudyError(f"{option} is {asked}, and the benchmark has {pairs} pairs. Ask for fewer, or run it on more")
        if self.real > artworks:
            raise StudyError(
                f"--real is {self.real}, and there are {artworks} artworks. Ask for fewer, or name a folder of more with "
                "--artworks"
            )

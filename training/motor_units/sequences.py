"""Which simulated muscles are for what, fixed before anything was trained or tuned on any; and the cells of the table.

Sequences are made when asked for: one takes a tenth of a second of one core, and 3,000 of them would be 12 GB even in float16.
"""

from dataclasses import dataclass

from simulator.motor_units import Conditions, Mixing, MotorSequence, draw_conditions, simulate_sequence

#: Seeds, each a muscle of its own.
TRAIN = range(100_001, 103_001)
#: For the second network: what the first one finds in muscles that it knows is not what it finds in others.
TRAIN_TRAINS = range(500_001, 503_001)
VALIDATION = range(200_001, 200_301)
TEST = range(300_001, 300_301)


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of the table: how many units are active, how noisy it is, how they add up."""

    fewest: int
    most: int
    snr_db: float
    mixing: Mixing

    @property
    def name(self) -> str:
        """For people."""
        units = f"{self.fewest} to {self.most}" if self.fewest < self.most else str(self.most)
        return f"{units} units, {self.snr_db:g} dB, {self.mixing}"

    def sequence(self, seed: int) -> MotorSequence:
        """The muscle of a seed under the cell's conditions."""
        units = self.fewest + seed % (self.most - self.fewest + 1)
        return simulate_sequence(seed, Conditions(units, self.snr_db, self.mixing))


CELLS = (
    *(Cell(5, 10, snr_db, "saturating") for snr_db in (20.0, 10.0, 5.0, 0.0)),
    Cell(5, 10, 10.0, "linear"),
    *(Cell(20, 20, snr_db, "saturating") for snr_db in (20.0, 10.0, 5.0, 0.0)),
    Cell(20, 20, 10.0, "linear"),
)


def training_sequence(seed: int) -> MotorSequence:
    """Of a seed, under conditions drawn from it."""
    return simulate_sequence(seed, draw_conditions(seed))

"""The open-loop bound on muscle fatigue (Riener's first-order model, figures of cocofest).

1,000,000 ppm is rested, 200,000 ppm is exhausted. While the muscle is driven, mu falls towards 0.2 with 30 s; while
it rests, mu recovers towards 1 with 50 s. Integrated in fixed steps of 50 ms; a fall is rounded up, a recovery down.
Amplitude is never raised to compensate.
"""

from safety.units import ceil_div

STEP_MS = 50
RESTED_PPM = 1_000_000
FLOOR_PPM = 200_000
FALL_MS = 30_000
RECOVERY_MS = 50_000
REST_MS = 240_000
"""Rest before another set: recovery to 0.9 takes 80 s (Riener) to 204 s (Ding); engineering default."""


def fatigue(mu_ppm: int, drive_ppm: int, steps: int) -> int:
    """Advance mu by `steps` of 50 ms at a drive of 0 (rest) to 1,000,000 ppm (plateau)."""
    for _ in range(steps):
        fall = ceil_div((mu_ppm - FLOOR_PPM) * drive_ppm * STEP_MS, FALL_MS * RESTED_PPM)
        rise = (RESTED_PPM - mu_ppm) * (RESTED_PPM - drive_ppm) * STEP_MS // (RECOVERY_MS * RESTED_PPM)
        mu_ppm += rise - fall
    return mu_ppm

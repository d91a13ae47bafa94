"""The doer.

What picture of the output a therapy would like at a played time. It proposes; the safety core grants or stays silent.
"""

from safety.prescription import PPM, Plan, Programme
from safety.state import Session, Trial
from safety.waveform import OFF, Picture


def picture(session: Session, played_ms: int, resumed_ms: int) -> Picture:
    """Give the picture at `played_ms` of therapy, `resumed_ms` after the output was last at zero by a start or resume.

    After a pause the programme goes on where it stood, under a ramp from zero of its own.
    """
    programme = session.rx.programme
    soft_ppm = ramp_ppm(resumed_ms, programme.ramp_up_ms)
    trains = []
    for setting in session.settings:
        ua = setting.setpoint_ua * min(soft_ppm, height_ppm(programme, setting.plan, played_ms)) // PPM
        if ua:
            trains.append(setting.plan.train(ua))
    return Picture(tuple(trains))


def burst(session: Session, trial: Trial, now_ms: int) -> Picture:
    """Give the picture of a calibration while its button is held: a ramp from zero to the set-point, on one channel."""
    if not trial.began_ms:
        return OFF
    share_ppm = ramp_ppm(now_ms - trial.began_ms, trial.shape.ramp_up_ms)
    setting = next(setting for setting in session.settings if setting.plan.channel == trial.channel)
    ua = setting.setpoint_ua * share_ppm // PPM
    return Picture((setting.plan.train(ua),)) if ua else OFF


def height_ppm(programme: Programme, plan: Plan, played_ms: int) -> int:
    """Give a channel's height as a share of its set-point, in ppm: nowhere does it rise faster than the ramp.

    A continuous programme falls at the end of the therapy, for every channel alike: a delay shifts a channel's place
    in a cycle, and there is none.
    """
    if played_ms < plan.delay_ms or played_ms >= programme.therapy_ms:
        return 0
    at_ms = (played_ms - plan.delay_ms) % programme.cycle_ms
    if programme.off_ms:
        falling_ms = at_ms - programme.ramp_up_ms - programme.on_ms
    else:
        falling_ms = played_ms - programme.therapy_ms + programme.ramp_down_ms
    rise = ramp_ppm(at_ms, programme.ramp_up_ms)
    fall = PPM - ramp_ppm(falling_ms, programme.ramp_down_ms)
    return min(rise, fall, warmth_ppm(programme, played_ms))


def ramp_ppm(at_ms: int, ramp_ms: int) -> int:
    """Rise linearly from 0 at 0 ms to 1,000,000 ppm at `ramp_ms`."""
    if at_ms < 0:
        return 0
    return PPM if at_ms >= ramp_ms else at_ms * PPM // ramp_ms


def warmth_ppm(programme: Programme, played_ms: int) -> int:
    """Rise from `warm_ppm` to the whole over the warm-up, and fall back over the cool-down."""
    warm = ramp_ppm(played_ms, programme.warm_up_ms)
    cool = ramp_ppm(programme.therapy_ms - played_ms, programme.cool_down_ms)
    return programme.warm_ppm + (PPM - programme.warm_ppm) * min(warm, cool) // PPM

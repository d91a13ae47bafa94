"""The register of hazards: what can go wrong, by which cause, to whose harm.

Which rules stand against a hazard is said by the register of rules. Severity is that of the harm if nothing stood in
its way: 1 negligible, 2 minor, 3 passing injury, 4 lasting or serious injury, 5 death (engineering judgement in the
manner of ISO 14971, after safety reference 6.3; a clinic's own risk file decides).
"""

from typing import Final, NamedTuple


class Hazard(NamedTuple):
    """One hazard: the situation, how it comes about, what it does to the patient, and how bad that is (1 to 5)."""

    id: str
    situation: str
    cause: str
    harm: str
    severity: int


HAZARDS: Final = (
    Hazard("H01", "Current crosses the heart", "pads on both sides of the chest, or on both arms", "arrhythmia", 5),
    Hazard("H02", "Current meets an active implant", "nobody asked, or the answer was wrong", "inhibited pacing", 5),
    Hazard("H03", "Current reaches neck or head", "pads in the wrong place", "slow heart, closed airway, seizure", 5),
    Hazard("H04", "Current crowds under a pad", "a small pad, or one that peels off", "second or third degree burn", 4),
    Hazard("H05", "Skin burns unfelt", "neuropathy has taken the warning pain away", "deep burn, ulcer", 4),
    Hazard("H06", "Contact comes back at full current", "a pad or lead was open meanwhile", "shock, fall", 3),
    Hazard("H07", "Output is on when a lead is plugged in", "started without a load", "shock", 3),
    Hazard("H08", "Current jumps", "wrong command or unit, a message kept by the broker", "pain, torn muscle", 3),
    Hazard("H09", "Current jumps back after it was cut short", "the pad is pressed on at the voltage limit", "pain", 3),
    Hazard("H10", "Current flows after STOP", "the stop was lost, refused, or not obeyed", "burn, fear", 4),
    Hazard("H11", "Current flows while nobody watches", "the host crashed, hangs or is frozen", "burn", 4),
    Hazard("H12", "The device hangs with its output on", "a defect of its firmware", "burn", 4),
    Hazard("H13", "The device restarts with an amplitude of its own", "a dip of its supply", "shock", 3),
    Hazard("H14", "More current flows than was set", "a fault of the output stage", "burn, shock", 4),
    Hazard("H15", "Direct current flows", "the second phase is short or missing", "chemical burn", 4),
    Hazard("H16", "The wrong train is given", "a damaged frame or a wrong field of it", "burn, fatigue", 3),
    Hazard("H17", "Pads are bridged", "gel, sweat or a crushed lead", "burn at the edge", 3),
    Hazard("H18", "Too much dose in one session", "a timer or a loop that does not end", "muscle damage", 3),
    Hazard("H19", "Too much dose over several sessions", "a lost ledger, two clinics, a crash", "muscle breakdown", 4),
    Hazard("H20", "A muscle is driven to exhaustion", "too little rest", "fall after the session, soreness", 3),
    Hazard("H21", "An untrained muscle is overloaded", "a full dose in a first session", "muscle breakdown", 4),
    Hazard("H22", "The wrong patient or prescription", "a mix-up", "any harm of this list", 4),
    Hazard("H23", "The wrong channel or device", "crossed leads, ports or topics", "another person is stimulated", 4),
    Hazard("H24", "Somebody starts who may not", "an open broker, a forged message", "any harm of this list", 4),
    Hazard("H25", "A start comes late or twice", "a message repeated or held up on its way", "unexpected current", 3),
    Hazard("H26", "Two controllers drive one device", "each believes itself alone", "output that nobody set", 4),
    Hazard("H27", "The clock jumps", "a time server, a frozen machine", "dose or rest miscounted", 3),
    Hazard("H28", "Arithmetic passes a limit", "overflow, rounding, what is not a number", "any limit exceeded", 4),
    Hazard("H29", "The configuration is unsafe", "a site raises a limit too far", "burn", 4),
    Hazard("H30", "A limit changes while current flows", "a file is read again", "jump", 3),
    Hazard("H31", "Output comes back by itself", "a restart after a fault", "shock", 4),
    Hazard("H32", "An alarm is not seen", "no console, no broker", "help comes late", 3),
    Hazard("H33", "The patient's stop does nothing", "a button unplugged, worn or bouncing", "harm goes on", 4),
    Hazard("H34", "Pads are worn out", "used too often, or past their date", "burn", 3),
    Hazard("H35", "A bench hides a fault", "an emulator in the clinic, or one too kind", "nothing is checked", 4),
    Hazard("H36", "Something nearby disturbs the output", "diathermy, surgery", "unsteady current", 3),
    Hazard("H37", "Skin warms up", "long treatment, a cover over the pads", "burn", 3),
    Hazard("H38", "The patient faints or has a seizure", "nobody is there", "fall", 4),
    Hazard("H39", "Nobody can say afterwards what happened", "a full disk, a lost record", "the same harm again", 3),
    Hazard("H40", "A rule is silently not asked", "a defect of the software", "any harm of this list", 4),
    Hazard("H41", "Autonomic dysreflexia", "spinal injury at T6 or above", "hypertensive crisis", 5),
    Hazard("H42", "A bone or tendon gives way", "strong pull, weak bone, fresh operation", "fracture, rupture", 4),
    Hazard("H43", "The patient falls as current starts or ends", "treated standing", "fall", 3),
    Hazard("H44", "A pad lies on or near an open foot", "ulcer or Charcot foot of neuropathy", "wound", 4),
    Hazard("H45", "Touch itself hurts", "allodynia after zoster", "severe pain", 2),
    Hazard("H46", "Pad area or site was entered wrongly", "a slip of the hand", "burn", 4),
    Hazard("H47", "Two stimulators treat one patient", "neither knows of the other", "doses add up", 4),
    Hazard("H48", "Zero is shown while current flows", "an old or forged picture of the state", "harm goes on", 4),
    Hazard("H49", "Alarms for nothing", "thresholds too tight", "the next alarm is ignored, therapy is lost", 3),
    Hazard("H50", "The supply dips", "a weak port", "restarts at random", 3),
)  # fmt: skip

"""The register of rules: id, hazards, the measurement it needs, and what it guards in one sentence.

The severity of each finding stands in the rule's function. What hazards there are stands in hazards.py.
"""

from typing import Final, NamedTuple

from safety.verdict import Scope


class Rule(NamedTuple):
    """One rule of the safety reference."""

    id: str
    hazards: str
    needs: str
    text: str


RULES: tuple[Rule, ...] = (
    Rule("G01", "H08 H28", "", "A wish is made of whole numbers in range and names channels of the session."),
    Rule("G02", "H08 H24 H25 H48", "", "A wish is fresh, not retained, and its sender saw the present state."),
    Rule("G03", "H22 H24", "", "The sender's role may start, and the start follows arming within a minute."),
    Rule("G04", "H22", "", "The prescription has not expired and its length suits the patient's class."),
    Rule("G05", "H01 H02 H36 H41 H42 H43 H44", "", "Every contraindication was asked about, and none forbids it."),
    Rule("G06", "H01 H03 H44", "", "Both pads sit on one limb of one side; heart, neck and head lie apart."),
    Rule("G07", "H04 H34 H46", "", "Pads are large enough and far enough apart."),
    Rule("G08", "H08 H42", "", "Amplitude within device, site, window, class and calibration."),
    Rule("G09", "H08", "", "Pulse width within bounds."),
    Rule("G10", "H08", "", "Pulse rate within bounds."),
    Rule("G11", "H08 H15", "", "Charge of one phase within bounds."),
    Rule("G12", "H08", "", "Root-mean-square current within bounds."),
    Rule("G13", "H04", "", "Current density under the smaller pad within bounds."),
    Rule("G14", "H04 H37", "", "Power density under the smaller pad within bounds."),
    Rule("G15", "H08", "", "Energy of one pulse within bounds."),
    Rule("G16", "H15", "", "Both phases carry the same charge; the device's mismatch leaves little direct current."),
    Rule("G17", "H20", "", "A held muscle gets at least so much rest as its on-time asks for."),
    Rule("G18", "H08 H42", "", "The programme ramps from zero; a set-point rises slowly and only on the plateau."),
    Rule("G19", "H05 H45", "", "The thresholds a session relies on were found, with these pads, and not too long ago."),
    Rule("G20", "H07 H46", "impedance", "Three fresh, steady test readings suit the pads."),
    Rule("G21", "H09", "impedance", "The device's voltage reaches the set current with room to spare."),
    Rule("G22", "H01 H23", "", "Channels together leave no path through the chest and time for each pulse."),
    Rule("G23", "H07 H13 H23 H35 H50", "", "The device is known, of the expected kind, present and stopped."),
    Rule("G24", "H33 H40", "patient stop", "The patient's stop was pressed and let go in this session."),
    Rule("G25", "H27 H39", "", "The service's clock is set, and its ledger and journal can be written."),
    Rule("G26", "H21", "", "The first two treatments of a muscle give at most half of what a session may."),
    Rule("G27", "H31 H05", "", "No latch and no hold stands."),
    Rule("G28", "H18 H19", "", "The worst dose of what is left is reserved before it is given, and fits."),
    Rule("G29", "H04 H05", "", "The device can judge the electrode at the session's current."),
    Rule("M01", "H14 H36", "readback", "No more current flows than was set."),
    Rule("M02", "H08 H40", "", "Every picture satisfies the pulse rules of the gate."),
    Rule("M03", "H08", "", "No channel stands above its ramp line."),
    Rule("M04", "H11 H12", "", "The device speaks, and says that it does what was granted."),
    Rule("M05", "H32", "", "The client that claimed the device is still there."),
    Rule("M06", "H05 H38", "", "Somebody is with a patient who cannot feel a burn."),
    Rule("M07", "H06", "electrode", "An open lead or pad zeroes at once."),
    Rule("M08", "H17", "impedance", "A short zeroes and locks the montage."),
    Rule("M09", "H04", "impedance", "Contact is not poor."),
    Rule("M10", "H04", "impedance", "Contact has not worsened against its own baseline."),
    Rule("M11", "H04 H06", "impedance", "Contact does not jump."),
    Rule("M12", "H04 H34", "impedance", "Contact does not dry out."),
    Rule("M13", "H17", "impedance", "Contact does not fall as if bridged."),
    Rule("M14", "H09", "clip", "The set current is reached."),
    Rule("M15", "H04 H05 H17", "impedance", "Like pairs on both sides age alike."),
    Rule("M16", "H15", "balance", "Both phases carry the same charge."),
    Rule("M17", "H04 H05", "impedance", "Density under what is left of a pad stays bounded."),
    Rule("M18", "H18 H37", "", "The session's charge, I2t and on-time stay inside their caps and the reservation."),
    Rule("M19", "H20", "", "The muscle is not exhausted."),
    Rule("M20", "H20", "", "Plateaus and rests keep their planned length."),
    Rule("M21", "H18", "", "The session ends."),
    Rule("M22", "H37 H05", "temperature", "The skin under the pads stays cool."),
    Rule("M23", "H33 H38 H41", "patient stop", "The patient can stop."),
    Rule("M24", "H04 H05 H38 H41 H45", "", "Whoever reports harm is believed."),
    Rule("M25", "H11 H40", "", "The safety loop keeps time."),
    Rule("M26", "H12 H16", "", "What the device sends can be understood."),
    Rule("M27", "H14 H16", "echo", "The device does what it was told."),
    Rule("M28", "H50", "supply", "The supply voltage is inside its band."),
    Rule("M29", "H10 H12 H48", "", "A stop is confirmed, or somebody is called and the device is locked."),
    Rule("M30", "H13 H50", "", "The device has not restarted in a session."),
    Rule("M31", "H27", "", "The wall clock keeps step with the boot clock."),
    Rule("M32", "H39", "", "What happens reaches the disk."),
    Rule("M34", "H26 H47", "", "The session still holds its patient and its device."),
    Rule("M35", "H20", "", "Contractions of a set and of a session are counted."),
    Rule("M36", "H20", "", "The patient is asked for the effort."),
    Rule("M37", "H05 H37", "", "Skin that does not feel well is looked at."),
    Rule("L01", "H19 H47", "", "Treatments a day on one site."),
    Rule("L02", "H19 H21", "", "A muscle rests between treatments."),
    Rule("L03", "H18 H19 H47", "", "Charge a day on one site."),
    Rule("L04", "H19", "", "Charge and on-time in seven days."),
    Rule("L05", "H19", "", "Treatments in seven days."),
    Rule("L06", "H08 H21", "", "Amplitude rises only a little above the last session that was completed."),
    Rule("L07", "H19", "", "A reservation without a settlement counts in full."),
    Rule("L08", "H10 H19", "", "A session is charged less than its reservation only on the device's own evidence."),
    Rule("L09", "H19 H22 H47", "", "The history that is judged is this patient's, and all of it."),
    Rule(
        "L10", "H05 H38 H45", "", "Where harm was reported nothing is given for a day, nor before a clinician agrees."
    ),
    Rule("L11", "H34", "", "Each pad whose barcode is told is known, in date, and was not used too often."),
    Rule("L12", "H34 H46", "impedance", "The skin's check reads no more than twice what it used to."),
    Rule("L13", "H19", "", "Counters only rise; a correction is signed, and by two where it lowers the last week."),
    Rule("X1", "H29", "", "Hard ceilings are compiled in; no file can pass them, and a test holds their digest."),
    Rule("X2", "H29 H39", "", "The record says by which policy and which limits each session was judged."),
    Rule("X3", "H08 H24", "", "What is not allowed by name is refused: a verb in a phase, a field, a state, a device."),
    Rule("X4", "H40 H49", "", "The hardest of all active reasons acts, and every one of them is told."),
    Rule("X5", "H06 H31", "", "Zero comes first and is latched: nothing that clears a latch brings current back."),
    Rule("X6", "H31", "", "After a crash the session is over and stays so until somebody acknowledges."),
    Rule("X7", "H32 H40", "", "A missing measurement counts as the worst; one that is not fitted is said."),
    Rule("X8", "H29 H30", "", "Limits of all layers meet when the session opens; a layer can only tighten."),
    Rule("X9", "H10 H11 H40", "", "Only the safety core's own tick keeps a device alive."),
    Rule("X10", "H26 H47", "", "One session holds a patient and a device, by a token that only rises."),
    Rule("X11", "H28", "", "Whole numbers in named units decide; they are rounded towards more dose."),
    Rule("X12", "H40", "", "The service counts its rules before it starts; one that is missing is told."),
)

LOCK_SCOPE: Final = {
    "G05": Scope.PATIENT,
    "G23": Scope.DEVICE,
    "M01": Scope.DEVICE,
    "M08": Scope.MONTAGE,
    "M16": Scope.DEVICE,
    "M24": Scope.MONTAGE,
    "M27": Scope.DEVICE,
    "M29": Scope.DEVICE,
}
"""What a LOCK of a rule holds fast.

Any other LOCK holds the session's device until a clinician has looked (scope session).
"""

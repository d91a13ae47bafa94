"""Every fault of the bench in one table: what it does, its hazards, and what a controller must do about it."""

from __future__ import annotations

from hil import faults_body, faults_device, faults_host, faults_wire
from hil.fault_table import FAULTS

__all__ = ["FAULTS", "faults_body", "faults_device", "faults_host", "faults_wire"]

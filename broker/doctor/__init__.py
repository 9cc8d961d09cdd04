"""Looks at a machine and an exchange and says what is not as it should be, and what to do about it.

Every check answers with findings and raises nothing: a doctor who faints at the first wound is of no use. Nothing is
changed anywhere.
"""

from broker.doctor.examination import examine
from broker.doctor.finding import Finding, Verdict

__all__ = ["Finding", "Verdict", "examine"]

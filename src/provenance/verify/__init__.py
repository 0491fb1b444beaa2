"""The verification wing: is a release what its signer recorded, and who signed it?

>>> from provenance.verify import check_bundle
>>> check_bundle("no-such-folder").verdict
'ERROR'

`check_bundle` returns a report with every finding, `verify_bundle` raises unless the
verdict is OK. A release is untrusted bytes: nothing in it is believed before it was
authenticated, nothing in it can relax a rule, and its tables are parsed in a limited
process of their own. It never imports the recording wing.

Open `check.py` first: it numbers the steps. One file holds one step.
"""

from provenance.verify.check import check_bundle, verify_bundle
from provenance.verify.findings import Finding
from provenance.verify.policy import Policy, load_policy, parse_policy
from provenance.verify.report import Report

__all__ = [
    "Finding",
    "Policy",
    "Report",
    "check_bundle",
    "load_policy",
    "parse_policy",
    "verify_bundle",
]

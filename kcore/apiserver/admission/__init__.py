"""What a write must be, beyond its own validity: the plugins in upstream's order."""

from kcore.apiserver.admission.chain import Admission
from kcore.apiserver.admission.contract import AdmittedOperation, Plugin, Verb

__all__ = ["Admission", "AdmittedOperation", "Plugin", "Verb"]

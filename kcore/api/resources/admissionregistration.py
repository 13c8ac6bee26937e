"""Rows of admissionregistration.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.resources.subresources import STATUS
from kcore.api.rows import Row

GROUP: Final = "admissionregistration.k8s.io"
SCHEMA: Final = "io.k8s.api.admissionregistration."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "MutatingAdmissionPolicy",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicy",
        False,
        "mutatingadmissionpolicies",
        SCHEMA + "v1.MutatingAdmissionPolicy",
        categories=("api-extensions",),
    ),
    Row(
        GROUP,
        "v1",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        "mutatingadmissionpolicybinding",
        False,
        "mutatingadmissionpolicybindings",
        SCHEMA + "v1.MutatingAdmissionPolicyBinding",
        categories=("api-extensions",),
    ),
    Row(
        GROUP,
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        "mutatingwebhookconfiguration",
        False,
        "mutatingwebhookconfigurations",
        SCHEMA + "v1.MutatingWebhookConfiguration",
        categories=("api-extensions",),
    ),
    Row(
        GROUP,
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        "validatingadmissionpolicy",
        False,
        "validatingadmissionpolicies",
        SCHEMA + "v1.ValidatingAdmissionPolicy",
        categories=("api-extensions",),
        subresources=(STATUS,),
    ),
    Row(
        GROUP,
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        "validatingadmissionpolicybinding",
        False,
        "validatingadmissionpolicybindings",
        SCHEMA + "v1.ValidatingAdmissionPolicyBinding",
        categories=("api-extensions",),
    ),
    Row(
        GROUP,
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        "validatingwebhookconfiguration",
        False,
        "validatingwebhookconfigurations",
        SCHEMA + "v1.ValidatingWebhookConfiguration",
        categories=("api-extensions",),
    ),
)

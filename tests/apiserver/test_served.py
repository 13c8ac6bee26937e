"""``--runtime-config``: what is off is not there, what is needed stays."""

from __future__ import annotations

import pytest

from kcore.api.errors import InputError
from kcore.apiserver.flags import gather
from tests.apiserver.handled import Server


def test_what_is_off_is_not_there() -> None:
    switched = (
        "api/v1,api/v1/podtemplates=false,batch/v1=false,batch/v1/jobs=true,apps/v1/daemonsets=false,api/beta"
    )
    flags = gather({"runtime-config": switched})
    server = Server(switches=flags["runtime-config"])
    try:
        assert server("GET", "/apis/batch/v1/namespaces/default/jobs")[0] == 200
        assert server("GET", "/apis/batch/v1/namespaces/default/cronjobs")[0] == 404
        assert server("GET", "/apis/apps/v1/daemonsets")[0] == 404
        assert server("GET", "/api/v1/namespaces/default/podtemplates")[0] == 404
        names = {each["name"] for each in server("GET", "/apis/apps/v1")[1]["resources"]}
        assert "deployments" in names
        assert "daemonsets" not in names
    finally:
        server.close()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("v1/namespaces=false", "namespaces of v1 cannot be off"),
        ("api/all=false", "api/all cannot be off"),
        ("nobody/v1", "unknown api version or resource 'nobody/v1'"),
        ("autoscaling/v2=false", "autoscaling/v2 cannot be off"),
    ],
)
def test_what_cannot_be_off_is_said(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        Server(switches=gather({"runtime-config": text})["runtime-config"])


def test_switches_are_true_or_false() -> None:
    assert gather({"feature-gates": "A=true,B=f"})["feature-gates"] == {"A": True, "B": False}
    with pytest.raises(InputError, match="feature-gates"):
        gather({"feature-gates": "A=perhaps"})

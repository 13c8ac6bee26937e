"""``kcore apiserver``: the API server alone, with kube-apiserver's flags."""

from __future__ import annotations

import typer

from kcore.apiserver.flags import FLAGS, WITHOUT_EFFECT
from kcore.cli.daemons import serve_apiserver
from kcore.cli.flags import command_of, with_flags

ApiServerCommand = command_of(FLAGS)


@with_flags(FLAGS, WITHOUT_EFFECT)
def apiserver(**given: str | None) -> None:
    """The API server: kube-apiserver's flags, kubectl's and client-go's API.

    Keeps its own store unless --etcd-servers names one. Certificates, keys and an admin kubeconfig (admin.conf) are
    made in --cert-dir on first start. Stops on SIGTERM and SIGINT.
    """
    texts = {name.replace("_", "-"): text for name, text in given.items() if text is not None}
    code = serve_apiserver(texts)
    if code:
        raise typer.Exit(code)

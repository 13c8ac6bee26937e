"""``kcore apiserver``: the API server alone, with kube-apiserver's flags."""

from __future__ import annotations

import typer

from kcore.apiserver.flags import BY_NAME, FLAGS, WITHOUT_EFFECT
from kcore.cli.daemons import serve_apiserver
from kcore.cli.go_flags import command_of, takes, texts_of

ApiServerCommand = command_of(BY_NAME)


@takes(FLAGS, WITHOUT_EFFECT)
def apiserver(**given: str | None) -> None:
    """The API server: kube-apiserver's flags, kubectl's and client-go's API.

    Keeps its own store unless --etcd-servers names one. Certificates, keys and an admin kubeconfig (admin.conf) are
    made in --cert-dir on first start. Stops on SIGTERM and SIGINT.
    """
    code = serve_apiserver(texts_of(given))
    if code:
        raise typer.Exit(code)

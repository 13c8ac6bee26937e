"""Who asks: client certificates, bearer tokens, front proxies, anonymous."""

from kcore.apiserver.authn.authenticator import Authenticator

__all__ = ["Authenticator"]

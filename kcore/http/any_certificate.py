"""A TLS context that asks clients for a certificate and takes any: whose it is, is the authenticator's to find out.

Go's tls.RequestClientCert, which kube-apiserver uses: a certificate of an unknown authority, or one that ran out, is
answered 401, where verification in the handshake would break the connection off. Python's ssl only knows to verify in
the handshake, so the callback that OpenSSL has for this (SSL_CTX_set_cert_verify_callback) is set through ctypes, in
the library that the ssl module itself is linked with. That the client has the certificate's key is proven all the same.
"""

from __future__ import annotations

import ctypes
import ssl
import sys
from collections.abc import Sequence
from typing import Any, Final

# where PySSLContext begins with SSL_CTX *ctx (Modules/_ssl.c)
PYTHONS: Final = ((3, 11), (3, 12), (3, 13), (3, 14))
ACCEPT: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda store, argument: 1)


def take_any_certificate(context: ssl.SSLContext, authorities: Sequence[bytes] = ()) -> bool:
    """True: clients are asked for a certificate, and none is refused in the handshake.

    False where this Python's OpenSSL is out of reach (linked in without its symbols): the context is as it was.
    ``authorities`` (DER) are named to the client, which may have several certificates.
    """
    library, pointer = _openssl(), _pointer(context)
    if library is None or pointer is None:
        return False
    context.verify_mode = ssl.CERT_OPTIONAL
    if library.SSL_CTX_get_verify_mode(pointer) != ssl.CERT_OPTIONAL.value:
        return False
    library.SSL_CTX_set_cert_verify_callback(pointer, ACCEPT, None)
    for der in authorities:
        start = ctypes.c_char_p(der)
        certificate = library.d2i_X509(None, ctypes.byref(start), len(der))
        if certificate:
            library.SSL_CTX_add_client_CA(pointer, certificate)
            library.X509_free(certificate)
    return True


def _openssl() -> Any:
    """The library, its functions typed; None where its symbols are not to be had."""
    import _ssl

    try:
        library = ctypes.CDLL(getattr(_ssl, "__file__", None))
        for name, result, arguments in (
            ("SSL_CTX_get_verify_mode", ctypes.c_int, (ctypes.c_void_p,)),
            ("SSL_CTX_set_cert_verify_callback", None, (ctypes.c_void_p, type(ACCEPT), ctypes.c_void_p)),
            ("SSL_CTX_add_client_CA", ctypes.c_int, (ctypes.c_void_p, ctypes.c_void_p)),
            ("d2i_X509", ctypes.c_void_p, (ctypes.c_void_p, ctypes.POINTER(ctypes.c_char_p), ctypes.c_long)),
            ("X509_free", None, (ctypes.c_void_p,)),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return library


def _pointer(context: ssl.SSLContext) -> int | None:
    """OpenSSL's context behind Python's, None where it is not known where to find it."""
    if sys.implementation.name != "cpython" or sys.version_info[:2] not in PYTHONS:
        return None
    found: int | None = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    return found

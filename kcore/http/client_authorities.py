"""A TLS listener names the authorities whose certificates it takes, which Python's ``ssl`` has no call for.

Go's clients and browsers choose a certificate by these names, and `openssl s_client` shows them. OpenSSL keeps them in
the context (SSL_CTX_add_client_CA), which is the first member of CPython's object of it; both are called through
``ctypes``, from the very library that ``ssl`` is bound to. Where that is not CPython, or OpenSSL's names are hidden
inside of the interpreter, no names are sent, as before, and clients offer whatever they have.

Source: crypto/tls of Go (ClientCAs), apiserver pkg/server/secure_serving.go of Kubernetes 1.36.
"""

from __future__ import annotations

import ctypes
import ssl
import sys
from typing import Any, Final

POINTER: Final = ctypes.c_void_p
CALLS: Final[tuple[tuple[str, Any, tuple[Any, ...]], ...]] = (
    ("SSL_CTX_get_options", ctypes.c_uint64, (POINTER,)),
    ("SSL_CTX_add_client_CA", ctypes.c_int, (POINTER, POINTER)),
    ("BIO_new_mem_buf", POINTER, (ctypes.c_char_p, ctypes.c_int)),
    ("BIO_free", ctypes.c_int, (POINTER,)),
    ("PEM_read_bio_X509", POINTER, (POINTER, POINTER, POINTER, POINTER)),
    ("X509_free", None, (POINTER,)),
    ("ERR_clear_error", None, ()),
)


def name_authorities(context: ssl.SSLContext, certificates: bytes) -> bool:
    """The context sends the subjects of these certificates (PEM) with its wish for one; False where it cannot."""
    library = _openssl()
    pointer = _pointer(context, library)
    if not pointer:
        return False
    source = library.BIO_new_mem_buf(certificates, len(certificates))
    try:
        while certificate := library.PEM_read_bio_X509(source, None, None, None):
            library.SSL_CTX_add_client_CA(pointer, certificate)
            library.X509_free(certificate)
    finally:
        library.BIO_free(source)
        library.ERR_clear_error()  # the end of the text, which a later call would take for its own failure
    return True


def _openssl() -> Any:
    """The library under ``ssl`` with the types of its calls, None where they are not to be had."""
    import _ssl

    try:
        library = ctypes.CDLL(getattr(_ssl, "__file__", None))
        for name, result, arguments in CALLS:
            call = getattr(library, name)
            call.restype, call.argtypes = result, arguments
    except (AttributeError, OSError):
        return None
    return library


def _pointer(context: ssl.SSLContext, library: Any) -> int:
    """Where OpenSSL's own context is; 0 where that cannot be told, which is tried on the options that both know."""
    if library is None or sys.implementation.name != "cpython":
        return 0
    pointer = POINTER.from_address(id(context) + object.__basicsize__).value or 0
    return pointer if pointer and library.SSL_CTX_get_options(pointer) == context.options else 0

"""Passwords as bcrypt hashes, made and compared outside the replicated state: a salt is chance, and both take long.

Call both in a thread: at etcd's cost of 10 one call takes some 50 ms of a core (bcrypt releases the interpreter).
"""

from typing import Final

import bcrypt

from kcore.store.errors import Code, StoreError

COST_MIN: Final = 4
COST_MAX: Final = 31
COST_DEFAULT: Final = 10
PASSWORD_BYTES_MAX: Final = 72  # bcrypt reads no more


def hashed(password: str, cost: int = COST_DEFAULT) -> bytes:
    """A salted hash of the password; a cost outside 4 to 31 is taken as 10, as etcd does."""
    raw = password.encode()
    if len(raw) > PASSWORD_BYTES_MAX:
        raise StoreError(Code.UNKNOWN, "bcrypt: password length exceeds 72 bytes")
    rounds = cost if COST_MIN <= cost <= COST_MAX else COST_DEFAULT
    return bcrypt.hashpw(raw, bcrypt.gensalt(rounds, prefix=b"2a"))


def matches(password: str, password_hash: bytes) -> bool:
    """True where the hash was made of that password; an empty or broken hash matches nothing."""
    try:
        return bcrypt.checkpw(password.encode()[:PASSWORD_BYTES_MAX], password_hash)
    except ValueError:
        return False

"""Static tokens: ``--token-auth-file``, lines of ``token,user,uid,"group1,group2"``.

Source: apiserver pkg/authentication/token/tokenfile/tokenfile.go of Kubernetes 1.36.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence

from kcore.api.errors import InputError
from kcore.apiserver.authn.authenticator import Verified
from kcore.apiserver.user import UserInfo


class StaticTokens:
    """Tokens that were known at the start."""

    def __init__(self, users: Mapping[str, UserInfo], audiences: Sequence[str] = ()) -> None:
        self._users = dict(users)
        self._audiences = tuple(audiences)

    async def verify(self, token: str, audiences: Sequence[str]) -> Verified | None:
        """The token's user, None for one that the file does not hold. Static tokens are for our own audiences."""
        user = self._users.get(token)
        if user is None:
            return None
        meant = tuple(each for each in audiences if each in self._audiences)
        return None if audiences and self._audiences and not meant else Verified(user, meant)


def read_tokens(text: str, file: str) -> dict[str, UserInfo]:
    """Token to user; the last line of a token counts, empty tokens are passed over. InputError for a short line."""
    users: dict[str, UserInfo] = {}
    lines = text.splitlines()
    for record in csv.reader(lines, skipinitialspace=False, strict=True):
        if not record:
            continue
        if len(record) < 3:
            raise InputError(
                f"token file '{file}' must have at least 3 columns (token, user name, user uid), found {len(record)}",
                file=file,
            )
        if record[0]:
            groups = tuple(record[3].split(",")) if len(record) >= 4 else ()
            users[record[0]] = UserInfo(record[1], record[2], groups)
    return users

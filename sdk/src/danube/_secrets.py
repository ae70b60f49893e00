"""`secrets`: handles of the secrets that the job may use, and values to redact."""

from __future__ import annotations

from danube._errors import DanubeError, RpcError, SecretNotFound
from danube._messages import CheckSecretReply, CheckSecretRequest, MaskValueReply, MaskValueRequest, Value
from danube._secret import Secret, plain
from danube._session import ask
from danube._transport import NOT_FOUND


class _Secrets:
    """Secrets that the pipeline may use, and values that no log may show."""

    def get(self, key: str) -> Secret:
        """The handle of a secret. The value itself never comes to the danubefile.

        Args:
            key: The secret's name, as in the pipeline's `secrets` and in `danube secret set`.

        Returns:
            A handle for `env=` and `files=` of `step.run`.

        Raises:
            SecretNotFound: This job may see no secret of this name.
        """
        name = plain(key, "the name of the secret")
        try:
            ask("secret", "CheckSecret", CheckSecretRequest(name=name), CheckSecretReply, at_import=True)
        except RpcError as error:
            if error.code == NOT_FOUND:
                raise SecretNotFound(name, error.message, error.place) from None
            raise
        return Secret(Value(secret=name), name)

    def mask(self, value: str) -> None:
        """Redacts a value that was made at run time, in every log of the job from now on.

        Steps that run already redact it too when this returns. Encoded forms (base64, hex, URL, JSON, shell) are
        redacted as well.

        Args:
            value: The text that must not be shown, at most 64 KiB.
        """
        if not plain(value, "the value to mask"):
            raise DanubeError("the value to mask is empty: give the text that must not be shown")
        ask("mask", "MaskValue", MaskValueRequest(value=value), MaskValueReply)


secrets = _Secrets()
"""The secrets of the job."""

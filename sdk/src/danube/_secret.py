"""`Secret`: the name of a value that this process never holds.

Every way to turn it into text raises. `repr` gives `<danube secret KEY>`, and a command, a name or plain
text that holds such a repr is refused, so a secret cannot slip into a command line unnoticed.
"""

from __future__ import annotations

from danube._errors import DanubeError
from danube._messages import RevealSecretReply, RevealSecretRequest, Value
from danube._session import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, final
else:

    def final(cls):
        return cls


_MARK = "<danube secret "
_HELP = "hand it to a step with env= or files=, where the server fills in the value"


@final
class Secret:
    """Opaque handle of a secret; accepted only as a value of `env=` and `files=` of `step.run`.

    It cannot become text: `str`, `format` and every operator raise, and `repr` shows its name alone.
    """

    __slots__ = ("_label", "_value")

    def __init__(self, value: Value, label: str) -> None:
        self._value = value
        self._label = label

    def reveal(self) -> str:
        """The value itself. Every call is in the audit log.

        Returns:
            The secret as text; logs still redact it.

        Raises:
            DanubeError: The pipeline's `secrets` do not say `reveal: true` for it.
        """
        return ask("reveal", "RevealSecret", RevealSecretRequest(value=self._value), RevealSecretReply).value

    def __repr__(self) -> str:
        return f"{_MARK}{self._label}>"

    def __str__(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot become text: {_HELP}")

    def __format__(self, spec: str) -> NoReturn:
        raise TypeError(f"{self!r} cannot be formatted into text: {_HELP}")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{self!r} cannot be copied or pickled: {_HELP}")

    if not TYPE_CHECKING:
        # Type checkers refuse these by themselves as long as they do not see them.

        def _refuse(self, *_):
            raise TypeError(f"{self!r} cannot be joined, split, compared in order or converted: {_HELP}")

        __add__ = __radd__ = __mod__ = __rmod__ = __mul__ = __rmul__ = _refuse
        __bytes__ = __len__ = __iter__ = __contains__ = __getitem__ = _refuse
        __int__ = __float__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse

        def __bool__(self):
            # Without it `if secret:` would ask for the length.
            return True


def plain(text: object, what: str) -> str:
    """The text, if it is text and holds no secret's repr; `what` names the argument in errors."""
    if isinstance(text, Secret):
        raise DanubeError(f"{what} is a secret: {_HELP}")
    if not isinstance(text, str):
        raise DanubeError(f"{what} is {text!r}: write it as text")
    if _MARK in text:
        raise DanubeError(f"{what} contains a secret that was formatted into text: {_HELP}")
    return text


def value_of(item: str | Secret, what: str) -> Value:
    """What is sent for a value of `env=` or `files=`."""
    if isinstance(item, Secret):
        return item._value  # pyright: ignore[reportPrivateUsage]  # a method would be public
    return Value(text=plain(item, what))

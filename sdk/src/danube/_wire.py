"""Protobuf's wire format for our own messages.

A message is a class whose attributes are declared as `name: str = text(1)`. Unknown fields are skipped,
so a newer master can answer an older SDK. The tests hold this codec to google.protobuf.
"""

from __future__ import annotations

import struct

from danube._errors import DanubeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar, TypeVar, dataclass_transform

    M = TypeVar("M", bound="Message")
else:

    def dataclass_transform(**_):
        return lambda cls: cls


_U32 = (1 << 32) - 1
_U64 = (1 << 64) - 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_ZERO = bytes(8)


class WireError(DanubeError):
    """Bytes that are no message of ours, or a value that fits in none."""


class Field:
    """One attribute of a message: its number, its type and how often it occurs."""

    __slots__ = ("default", "kind", "label", "message", "name", "number", "wire_type")

    def __init__(self, number: int, kind: str, default: object, label: str = "one") -> None:
        self.number = number
        self.kind = kind
        self.default = default
        self.label = label
        self.message: Any = None
        self.name = ""
        self.wire_type = {"text": _BYTES, "message": _BYTES, "double": _FIXED64}.get(kind, _VARINT)


def text(number: int) -> Any:
    """A string."""
    return Field(number, "text", "")


def texts(number: int) -> Any:
    """A repeated string."""
    return Field(number, "text", (), "many")


def one_of(number: int) -> Any:
    """A string of the message's only oneof; None: another one is set."""
    return Field(number, "text", None, "one_of")


def uint32(number: int) -> Any:
    """A uint32."""
    return Field(number, "uint32", 0)


def uint64(number: int) -> Any:
    """A uint64."""
    return Field(number, "uint64", 0)


def int32(number: int) -> Any:
    """An int32."""
    return Field(number, "int32", 0)


def flag(number: int) -> Any:
    """A bool."""
    return Field(number, "bool", False)


def double(number: int) -> Any:
    """A double."""
    return Field(number, "double", 0.0)


def nested(number: int, message: type[Message]) -> Any:
    """Another message; None: not there."""
    field = Field(number, "message", None)
    field.message = message
    return field


def many(number: int, message: type[Message]) -> Any:
    """A repeated message."""
    field = Field(number, "message", (), "many")
    field.message = message
    return field


def text_map(number: int) -> Any:
    """A map from string to string."""
    field = Field(number, "message", {}, "map")
    field.message = _Entry
    return field


@dataclass_transform(kw_only_default=True)
class Message:
    """The base of every message; attributes not given have proto3's defaults."""

    wire_fields: ClassVar[dict[int, Field]] = {}
    wire_names: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        cls.wire_fields = dict(cls.wire_fields)
        for name, field in list(vars(cls).items()):
            if isinstance(field, Field):
                field.name = name
                cls.wire_fields[field.number] = field
                setattr(cls, name, field.default)
        cls.wire_names = frozenset(field.name for field in cls.wire_fields.values())

    def __init__(self, **values: object) -> None:
        vars(self).update(values)


class _Entry(Message):
    key: str = text(1)
    value: str = text(2)


def encode(message: Message) -> bytes:
    """The message in protobuf's binary form."""
    out = bytearray()
    for field in message.wire_fields.values():
        value: Any = getattr(message, field.name)
        if field.label == "many":
            for item in value:
                _put(out, field, item)
        elif field.label == "map":
            for key, item in value.items():
                _put(out, field, _Entry(key=key, value=item))
        elif field.kind == "double":
            if struct.pack("<d", value) != _ZERO:
                _put(out, field, value)
        elif value != field.default:
            _put(out, field, value)
    return bytes(out)


def decode(kind: type[M], data: bytes) -> M:
    """The message of this kind that `data` holds."""
    message = kind()
    _merge(message, data)
    return message


def _put(out: bytearray, field: Field, value: Any) -> None:
    _put_varint(out, field.number << 3 | field.wire_type)
    if field.wire_type == _VARINT:
        _put_varint(out, _checked(field, int(value)))
        return
    if field.kind == "double":
        out += struct.pack("<d", value)
        return
    data = encode(value) if field.kind == "message" else _utf8(field, value)
    _put_varint(out, len(data))
    out += data


def _put_varint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _checked(field: Field, value: int) -> int:
    low, high = {"uint32": (0, _U32), "int32": (-(1 << 31), (1 << 31) - 1)}.get(field.kind, (0, _U64))
    if low <= value <= high:
        return value & _U64
    raise WireError(f"{field.name} is {value}: it must lie between {low} and {high}")


def _utf8(field: Field, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise WireError(f"{field.name} holds a character that is not valid Unicode at position {error.start}") from None


def _merge(message: Message, data: bytes) -> None:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise WireError(f"a message of the server names the impossible field {number}")
        value, at = _READ.get(wire_type, _unreadable)(data, at)
        field = message.wire_fields.get(number)
        if field is not None and field.wire_type == wire_type:
            _set(message, field, value)


def _set(message: Message, field: Field, raw: Any) -> None:
    have: Any = getattr(message, field.name)
    if field.label == "map":
        entry = decode(_Entry, raw)
        setattr(message, field.name, {**have, entry.key: entry.value})
    elif field.label == "many":
        item = decode(field.message, raw) if field.kind == "message" else _text(field, raw)
        setattr(message, field.name, (*have, item))
    elif field.kind == "message":
        inner = field.message() if have is None else have
        _merge(inner, raw)
        setattr(message, field.name, inner)
    else:
        if field.label == "one_of":
            for other in message.wire_fields.values():
                setattr(message, other.name, other.default)
        setattr(message, field.name, _scalar(field, raw))


def _scalar(field: Field, raw: Any) -> object:
    if field.kind == "text":
        return _text(field, raw)
    if field.kind == "double":
        return struct.unpack("<d", raw)[0]
    if field.kind == "bool":
        return raw != 0
    if field.kind == "int32":
        low = raw & _U32
        return low - (1 << 32) if low >> 31 else low
    return raw & _U32 if field.kind == "uint32" else raw


def _text(field: Field, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise WireError(f"the server sent a {field.name} that is not UTF-8") from None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise WireError("a message of the server ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _U64, at
    raise WireError("a message of the server holds a number of more than 10 bytes")


def _length(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _varint(data, at)
    return _take(data, at, size)


def _take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    if size > len(data) - at:
        raise WireError("a message of the server ends in the middle of a field")
    return data[at : at + size], at + size


def _unreadable(data: bytes, at: int) -> tuple[Any, int]:
    raise WireError(f"a message of the server holds a field of an unknown form before byte {at} of {len(data)}")


_READ: dict[int, Callable[[bytes, int], tuple[Any, int]]] = {
    _VARINT: _varint,
    _FIXED64: lambda data, at: _take(data, at, 8),
    _BYTES: _length,
    _FIXED32: lambda data, at: _take(data, at, 4),
}

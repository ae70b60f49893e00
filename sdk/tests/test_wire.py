"""The codec against google.protobuf."""

from __future__ import annotations

import random
import struct
import unittest

import protos
import support  # noqa: F401
from google.protobuf.descriptor import FieldDescriptor

from danube import _messages
from danube._wire import Field, Message, WireError, decode, encode

_LETTERS = ["", "a", "ü€", "\U0001f682", "x" * 200, "line\nline", "\0"]
_NUMBERS = {
    "uint32": [0, 1, 127, 128, (1 << 32) - 1],
    "uint64": [0, 1, 300, (1 << 64) - 1],
    "int32": [0, 1, -1, 137, -(1 << 31), (1 << 31) - 1],
    "bool": [False, True],
    "double": [0.0, -0.0, 0.1, -1e300, float("inf")],
}


def classes() -> list[type[Message]]:
    found = [kind for kind in vars(_messages).values() if isinstance(kind, type) and issubclass(kind, Message)]
    return [kind for kind in found if kind not in (Message, _messages.Request)]


def any_message(rng: random.Random, kind: type[Message]) -> Message:
    values = {field.name: any_value(rng, field) for field in kind.wire_fields.values()}
    if kind is _messages.Value:
        kept = rng.choice(["text", "secret", "captured"])
        values = {kept: rng.choice(_LETTERS)}
    return kind(**values)


def any_value(rng: random.Random, field: Field) -> object:
    if field.label == "map":
        return {rng.choice(_LETTERS): rng.choice(_LETTERS) for _ in range(rng.randrange(4))}
    if field.label == "many":
        return tuple(any_item(rng, field) for _ in range(rng.randrange(4)))
    if field.kind == "message" and rng.random() < 0.3:
        return None
    return any_item(rng, field)


def any_item(rng: random.Random, field: Field) -> object:
    if field.kind == "message":
        return any_message(rng, field.message)
    return rng.choice(_LETTERS if field.kind == "text" else _NUMBERS[field.kind])


class WireTest(unittest.TestCase):
    def test_every_message_has_the_fields_of_the_proto(self) -> None:
        ours = {kind.__name__: kind for kind in classes()}
        self.assertEqual(set(ours), set(protos.FILE.message_types_by_name))
        for name, descriptor in protos.FILE.message_types_by_name.items():
            fields = {field.number: (field.name, kind_of(field)) for field in descriptor.fields}
            known = {
                f.number: (f.name, f.message.__name__ if f.message and f.label != "map" else f.kind)
                for f in ours[name].wire_fields.values()
            }
            self.assertEqual(known, fields, name)

    def test_every_message_reads_the_same_in_google_protobuf(self) -> None:
        rng = random.Random(20)
        for kind in classes():
            theirs = protos.message(kind.__name__)
            for _ in range(150):
                ours = any_message(rng, kind)
                data = encode(ours)
                peer = theirs.FromString(data)
                self.assertEqual(encode(decode(kind, data)), data, kind.__name__)
                self.assert_same(ours, peer)
                self.assert_same(decode(kind, peer.SerializeToString()), peer)

    def assert_same(self, ours: Message, peer: object) -> None:
        for field in ours.wire_fields.values():
            have, want = getattr(ours, field.name), getattr(peer, field.name)
            if field.label == "map":
                self.assertEqual(dict(have), dict(want))
            elif field.label == "many" and field.kind == "message":
                self.assertEqual(len(have), len(want))
                for inner, other in zip(have, want, strict=True):
                    self.assert_same(inner, other)
            elif field.label == "many":
                self.assertEqual(list(have), list(want))
            elif field.kind == "message":
                self.assertEqual(have is not None, peer.HasField(field.name))
                if have is not None:
                    self.assert_same(have, want)
            elif field.label == "one_of":
                self.assertEqual(have, want if peer.HasField(field.name) else None)
            elif field.kind == "double":
                self.assertEqual(struct.pack("<d", have), struct.pack("<d", want))
            else:
                self.assertEqual(have, want)

    def test_fields_of_a_newer_server_are_skipped(self) -> None:
        newer = b"\x98\x06\x2a" + b"\xa2\x06\x03abc" + b"\xa9\x06" + bytes(8) + b"\xad\x06" + bytes(4)
        reply = decode(
            _messages.RunStepReply, newer + encode(_messages.RunStepReply(outcome="exit", exit_code=-3)) + newer
        )
        self.assertEqual((reply.outcome, reply.exit_code), ("exit", -3))

    def test_a_field_of_another_form_than_ours_is_skipped(self) -> None:
        reply = decode(_messages.RunStepReply, b"\x08\x05" + b"\x10\x07")
        self.assertEqual((reply.outcome, reply.exit_code), ("", 7))

    def test_a_message_that_comes_in_two_parts_is_merged(self) -> None:
        parts = [
            _messages.RegisterRequest(call=_messages.Call(key="k")),
            _messages.RegisterRequest(call=_messages.Call(line=7)),
        ]
        request = decode(_messages.RegisterRequest, b"".join(map(encode, parts)))
        self.assertEqual((request.call.key, request.call.line), ("k", 7))

    def test_damaged_bytes_are_an_error_and_nothing_else(self) -> None:
        rng = random.Random(21)
        for kind in classes():
            for _ in range(60):
                data = bytearray(encode(any_message(rng, kind)) or b"\x0a")
                for _ in range(3):
                    data[rng.randrange(len(data))] = rng.randrange(256)
                del data[rng.randrange(len(data)) :]
                try:
                    decode(kind, bytes(data))
                except WireError:
                    continue

    def test_numbers_that_do_not_fit_are_refused(self) -> None:
        for message in (
            _messages.Retry(times=1 << 32),
            _messages.Retry(times=-1),
            _messages.RunStepReply(exit_code=1 << 31),
        ):
            with self.assertRaisesRegex(WireError, "must lie between"):
                encode(message)

    def test_text_that_is_not_unicode_is_refused_by_its_field(self) -> None:
        with self.assertRaisesRegex(WireError, "command holds a character that is not valid Unicode at position 2"):
            encode(_messages.RunStepRequest(command="ls\udc80"))


def kind_of(field: FieldDescriptor) -> str:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return "message" if field.message_type.GetOptions().map_entry else field.message_type.name
    names = {
        "STRING": "text",
        "UINT32": "uint32",
        "UINT64": "uint64",
        "INT32": "int32",
        "BOOL": "bool",
        "DOUBLE": "double",
    }
    return next(ours for theirs, ours in names.items() if getattr(FieldDescriptor, f"TYPE_{theirs}") == field.type)


if __name__ == "__main__":
    unittest.main()

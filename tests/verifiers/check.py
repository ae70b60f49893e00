"""Judges attestations with verifiers that are not ours.

Usage: check.py DIRECTORY

The directory holds `signing.key.pub` (PEM, SPKI) and `cases.jsonl`: one object per line with `name` and
`envelope`, the attestation's text. For each line it prints one line: `accept NAME`, or `refuse NAME STAGE: WHY`.
The stages, in order: `envelope`, `signature` (securesystemslib), `statement` (in-toto-attestation), `predicate`
(SLSA provenance v1 by its protobuf schema, which refuses invented keys).
"""

import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"


def pinned_key(path: Path) -> SSlibKey:
    """The public key, under the id that Danube documents: SHA-256 of its SPKI in DER."""
    key = serialization.load_pem_public_key(path.read_bytes())
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return SSlibKey.from_crypto(key, keyid=hashlib.sha256(der).hexdigest())


def stages(text: str, key: SSlibKey):
    """Yields each stage's name before it is tried; raises where the attestation fails it."""
    yield "envelope"
    envelope = Envelope.from_dict(json.loads(text))

    yield "signature"
    envelope.verify([key], 1)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ValueError(f"payload type {envelope.payload_type}")

    yield "statement"
    statement = Statement.copy_from_pb(json_format.Parse(envelope.payload, statement_pb2.Statement()))
    statement.validate()

    yield "predicate"
    if statement.pb.predicate_type != PREDICATE_TYPE:
        raise ValueError(f"predicate type {statement.pb.predicate_type}")
    predicate = json_format.MessageToDict(statement.pb.predicate)
    provenance = json_format.ParseDict(predicate, provenance_pb2.Provenance())
    if not provenance.build_definition.build_type or not provenance.run_details.builder.id:
        raise ValueError("build type or builder id is missing")


def judge(case: dict, key: SSlibKey) -> str:
    """The line to print for one case."""
    stage = "case"
    try:
        for stage in stages(case["envelope"], key):
            pass
    except Exception as error:  # whatever a hostile attestation raises is a refusal
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return f"refuse {case['name']} {stage}: {why}"
    return f"accept {case['name']}"


def main() -> None:
    directory = Path(sys.argv[1])
    key = pinned_key(directory / "signing.key.pub")
    with (directory / "cases.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            print(judge(json.loads(line), key))


if __name__ == "__main__":
    main()

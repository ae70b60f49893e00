"""Every way in which a secret's handle could become text."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from fractions import Fraction

import protos
from fake_master import Failure
from support import JobTest

from danube import DanubeError, artifacts, ctx, pipeline, secrets, step


class SecretTest(JobTest):
    def setUp(self) -> None:
        super().setUp()
        self.secret = secrets.get("TOKEN")

    def test_nothing_turns_a_secret_into_text(self) -> None:
        secret = self.secret
        ways = {
            "str": lambda: str(secret),
            "format": lambda: format(secret),
            "f-string": lambda: f"{secret}",
            "f-string with a width": lambda: f"{secret:>9}",
            "str.format": lambda: "{}".format(secret),  # noqa: UP032
            "percent": lambda: "%s" % secret,  # noqa: UP031
            "percent bytes": lambda: b"%b" % secret,
            "left plus": lambda: "a" + secret,
            "right plus": lambda: secret + "a",
            "plus bytes": lambda: b"a" + secret,
            "times": lambda: secret * 2,
            "join": lambda: ",".join([secret]),
            "join itself": lambda: ",".join(secret),
            "bytes": lambda: bytes(secret),
            "int": lambda: int(secret),
            "iteration": lambda: list(secret),
            "length": lambda: len(secret),
            "index": lambda: secret[0],
            "contains": lambda: "a" in secret,
            "order": lambda: sorted([secret, secret]),
            "print": lambda: print(secret),
            "write": lambda: sys.stdout.write(secret),
            "environ": lambda: os.environ.__setitem__("A", secret),
            "argument": lambda: subprocess.run([sys.executable, secret], check=False),
            "environment": lambda: subprocess.run([sys.executable], env={"A": secret}, check=False),
            "open": lambda: open(secret),  # noqa: SIM115
            "json": lambda: json.dumps({"a": secret}),
            "json with str": lambda: json.dumps(secret, default=str),
            "pickle": lambda: pickle.dumps(secret),
            "old pickle": lambda: pickle.dumps(secret, protocol=0),
            "copy": lambda: copy.copy(secret),
            "deepcopy": lambda: copy.deepcopy({"a": secret}),
            "number": lambda: Fraction(secret),
            "attributes": lambda: vars(secret),
        }
        for name, way in ways.items():
            with self.subTest(name), self.assertRaises(TypeError):
                way()

    def test_the_refusal_says_what_to_do(self) -> None:
        with self.assertRaisesRegex(TypeError, r"<danube secret TOKEN> cannot be formatted.*env= or files="):
            f"{self.secret}"

    def test_repr_shows_the_name_alone(self) -> None:
        self.assertEqual(repr(self.secret), "<danube secret TOKEN>")
        self.assertEqual(f"{[self.secret]}", "[<danube secret TOKEN>]")

    def test_a_secret_is_equal_to_itself_alone_and_is_true(self) -> None:
        self.assertEqual(self.secret, self.secret)
        self.assertNotEqual(self.secret, secrets.get("TOKEN"))
        self.assertEqual(len({self.secret, self.secret}), 1)
        self.assertTrue(self.secret)

    def test_text_that_holds_a_repr_is_refused_everywhere(self) -> None:
        text = f"curl -H {self.secret!r}"
        sent = len(self.master.requests)
        ways = {
            "command": lambda: step.run(text),
            "name": lambda: step.run("x", name=text),
            "image": lambda: step.run("x", image=text),
            "env": lambda: step.run("x", env={"A": text}),
            "env name": lambda: step.run("x", env={text: "A"}),
            "file": lambda: step.run("x", files={"a": f"token={[self.secret]}"}),
            "workdir": lambda: step.run("x", workdir=text),
            "artifact": lambda: artifacts.upload(text, name="a"),
            "artifact name": lambda: artifacts.upload("a", name=text),
            "glob": lambda: ctx.changed(text),
            "mask": lambda: secrets.mask(text),
            "pipeline": lambda: pipeline(name=text),
        }
        for name, way in ways.items():
            with (
                self.subTest(name),
                self.assertRaisesRegex(DanubeError, "contains a secret that was formatted into text"),
            ):
                way()
        self.assertEqual(len(self.master.requests), sent)

    def test_a_secret_in_place_of_text_is_refused(self) -> None:
        for way in (
            lambda: step.run(self.secret),
            lambda: step.run("x", name=self.secret),
            lambda: secrets.mask(self.secret),
        ):
            with self.assertRaisesRegex(DanubeError, "is a secret: hand it to a step"):
                way()

    def test_reveal_asks_the_master_each_time(self) -> None:
        self.master.answers["RevealSecret"] = lambda _: protos.message("RevealSecretReply")(value="hunter22")
        self.assertEqual([self.secret.reveal(), self.secret.reveal()], ["hunter22"] * 2)
        self.assertEqual(self.master.keys()[1:], ["/reveal#0", "/reveal#1"])
        self.assertEqual(self.master.last().value.secret, "TOKEN")

    def test_a_forbidden_reveal_shows_the_servers_reason(self) -> None:
        self.master.answers["RevealSecret"] = lambda _: Failure(7, "reveal is not allowed for this pipeline")
        with self.assertRaisesRegex(DanubeError, "reveal is not allowed for this pipeline"):
            self.secret.reveal()

    def test_a_value_made_at_run_time_is_masked(self) -> None:
        secrets.mask("fresh-value")
        self.assertEqual((self.master.last().value, self.master.last().call.key), ("fresh-value", "/mask#0"))

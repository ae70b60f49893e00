"""What `images.build` asks for, and what comes back."""

from __future__ import annotations

import unittest

import protos
from support import JobTest

from danube import DanubeError, StepFailed, images, secrets

IMAGE = "registry.danube-system:5000/web/app@sha256:" + "ab" * 32


class ImagesTest(JobTest):
    def ends(self, image: str = "", **fields) -> None:
        step = protos.message("RunStepReply")(attempt=1, **fields)
        self.master.answers["BuildImage"] = lambda _: protos.message("BuildImageReply")(image=image, step=step)

    def test_an_image_comes_back_by_its_digest(self) -> None:
        self.ends(IMAGE, outcome="success")
        self.assertEqual(images.build(tag="app:1"), IMAGE)
        request = self.master.last()
        self.assertEqual(request.call.key, "/build#0")
        request.ClearField("call")
        self.assertEqual(request, protos.message("BuildImageRequest")(tag="app:1"))

    def test_every_argument_reaches_the_master(self) -> None:
        self.ends(IMAGE, outcome="success")
        images.build(tag="app", dockerfile="docker/App", context="web", args={"A": "1", "B": "2"})
        request = self.master.last()
        self.assertEqual((request.dockerfile, request.context, request.tag), ("docker/App", "web", "app"))
        self.assertEqual(dict(request.args), {"A": "1", "B": "2"})

    def test_a_failed_build_is_a_failed_step(self) -> None:
        self.ends(outcome="exit", exit_code=1, message='step "Build image app" exited with 1')
        with self.assertRaisesRegex(StepFailed, "exited with 1"):
            images.build(tag="app")

    def test_secrets_and_empty_names_are_refused_before_anything_is_sent(self) -> None:
        with self.assertRaises(DanubeError):
            images.build(tag="")
        with self.assertRaises(DanubeError):
            images.build(tag="app", args={"TOKEN": secrets.get("T")})  # type: ignore[dict-item]


if __name__ == "__main__":
    unittest.main()

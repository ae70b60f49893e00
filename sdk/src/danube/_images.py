"""`images`: container images, built without a daemon."""

from __future__ import annotations

from types import MappingProxyType

from danube._errors import DanubeError, StepFailed
from danube._messages import BuildImageReply, BuildImageRequest, RunStepReply
from danube._secret import plain
from danube._session import ask
from danube._step import result_of, why_failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_ARGS: Mapping[str, str] = MappingProxyType({})


class _Images:
    """Builds images into the registry beside the server."""

    def build(
        self, *, dockerfile: str = "Dockerfile", context: str = ".", tag: str, args: Mapping[str, str] = _NO_ARGS
    ) -> str:
        """Builds an image from the workspace and pushes it; layers that did not change come from a cache.

        Args:
            dockerfile: The Dockerfile, a path below the context.
            context: The folder of the workspace that the Dockerfile copies from.
            tag: The image's name below the pipeline's, such as `"app:1.2"`; without a tag it is `latest`.
            args: Values for the Dockerfile's `ARG`. They can be read in the image: they can't hold a secret.

        Returns:
            The image by its digest, such as `"registry.danube-system:5000/web/app@sha256:…"`: a step can run in it
            (`image=`), and it is a subject of the job's signed provenance.

        Raises:
            StepFailed: The build did not succeed.
        """
        label = f"Build image {plain(tag, 'tag=')}"
        folder = plain(context, "context=")
        file = plain(dockerfile, "dockerfile=")
        request = BuildImageRequest(
            dockerfile="" if file == "Dockerfile" else file,
            context="" if folder == "." else folder,
            tag=tag,
            args={plain(name, "a name in args="): plain(value, f"args[{name!r}]") for name, value in args.items()},
        )
        if not tag:
            raise DanubeError('tag= is empty: write the name of the image, such as "app:1.2"')
        reply = ask("build", "BuildImage", request, BuildImageReply)
        step = reply.step or RunStepReply()
        if not reply.image:
            raise StepFailed(why_failed(step, label), result_of(step, label))
        return reply.image


images = _Images()
"""The images of the job."""

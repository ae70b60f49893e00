"""A danubefile to start from: copy it into the built repository as danubefile.py."""
from danube import ctx, pipeline, step


@pipeline(name="example", timeout="20m")
def build() -> None:
    step.run("make test", name="test", image="host")
    if ctx.branch == "main":
        step.run("make package", name="package", image="host")

"""A danubefile for the first part of the SDK: steps, parallel, matrix, retry, secrets, artifacts, context.

Its repository: VERSION, pyproject.toml, src/, tests/ (unittest), branch main; secret PUBLISH_TOKEN.
"""

from danube import Retry, StepFailed, artifacts, ctx, pipeline, secrets, step


def unit(python: str, mode: str) -> float:
    result = step.run(
        f"python{python} -m unittest discover -v",
        name=f"unit {python} {mode}",
        image="host",
        env={"MODE": mode},
        timeout="5m",
        retry=Retry(2, on=["infra", "timeout"]),
    )
    return result.seconds


@pipeline(name="core", timeout="20m")
def build() -> None:
    if not ctx.changed("src/**", "pyproject.toml"):
        return
    step.parallel(
        lambda: step.run("python3 -m compileall -q src", name="compile", image="host"),
        lambda: step.run("git -C . log -1 --format=%H || true", name="show commit", image="host"),
    )
    step.matrix(unit, {"python": ["3"], "mode": ["fast", "slow"]}, exclude=[{"mode": "slow"}])
    version = step.run("cat VERSION", name="version", image="host", capture=True).stdout.strip()
    step.run(
        f"mkdir -p dist && tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --exclude=__pycache__ -cf dist/pkg-{version}.tar src",
        name="package",
        image="host",
    )
    artifacts.upload(f"dist/pkg-{version}.tar", name="package")
    try:
        step.run("exit 3", name="allowed to fail", image="host")
    except StepFailed as failed:
        assert failed.result.exit_code == 3
    if ctx.branch == "main":
        step.run(
            'test -n "$TOKEN"', name="publish", image="host", env={"TOKEN": secrets.get("PUBLISH_TOKEN")}, once=True
        )

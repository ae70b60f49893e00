"""Danube builds and tests itself."""
from danube import pipeline, step


@pipeline(name="danube")
def build() -> None:
    step.run("cargo fmt --all --check", name="format", image="host")
    step.run("cargo clippy --locked --workspace --all-targets -- -D warnings", name="clippy", image="host")
    step.run("cargo test --locked --lib", name="unit tests", image="host", timeout="20m")

# The same commands by name; none of them needs just.

# everything that must hold before a change goes in
ci:
    .ci/run

# format all sources
fmt:
    cargo fmt --all

# lints, warnings denied
clippy:
    cargo clippy --workspace --all-targets -- -D warnings

# all tests
test:
    cargo test --workspace

# the story of mpathd in a private network; needs no root
demo *ARGS:
    cargo demo {{ARGS}}

# the engine in simulated worlds
sim SEEDS="10000":
    cargo run --release --package mpath-sim -- --seeds {{SEEDS}}

# licences and duplicate versions
licences:
    cargo xtask licences
